"""Lints the SQL of the migrations with squawk: `python -m tests.migrating.lint_sql`.

Each step stands as it runs: in a transaction with its limit on waiting, or by itself. What is
excepted, and why, is in .squawk.toml. Triggers, which no linter knows, and the limits as the server
sees them are in test_lock_discipline.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import django

ROOT = Path(__file__).parents[2]
APPS = ("accounts", "counters", "usage", "threads", "itineraries")
IN_TRANSACTION = "BEGIN;\nSET LOCAL lock_timeout = '500ms';\n{sql}\nCOMMIT;\n"


def write_migrations(folder: Path) -> list[Path]:
    """Write the SQL of each migration of ours to a file."""
    from sentinel.deployment.steps import read_graph, steps_forwards

    loader = read_graph()
    written = []
    for app, name in sorted(key for key in loader.graph.nodes if key[0] in APPS):
        path = folder / f"{app}.{name}.sql"
        steps = steps_forwards(loader, (app, name))
        path.write_text(
            "\n".join(
                IN_TRANSACTION.format(sql=step.sql) if step.in_transaction else step.sql
                for step in steps
            ),
            encoding="utf-8",
        )
        written.append(path)
    return written


def lint() -> int:
    """Run squawk and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_migrations(Path(folder))
        return subprocess.run(  # noqa: S603 (the linter beside this Python)
            [
                str(Path(sys.executable).with_name("squawk")),
                *("--config", str(ROOT / ".squawk.toml")),
                *sys.argv[1:],
                *map(str, files),
            ],
            check=False,
        ).returncode


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentinel.settings")
    django.setup()
    sys.exit(lint())
