"""Every command of docs/DATABASE_SCHEMA_OPTIMIZATION.md, in its order, on one database."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.deploying.catalog import read_definitions
from tests.deploying.psql import command_line, run_psql
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

PAGE = (PROJECT / "docs/DATABASE_SCHEMA_OPTIMIZATION.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """A fenced block and what is expected of it."""

    language: str
    expected: dict[str, str]
    text: str


def read_blocks() -> list[Block]:
    fences = re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [
        Block(language, dict(word.split("=", 1) for word in shlex.split(info)), text)
        for language, info, text in fences
    ]


def run_shell(database: ScratchDatabase, block: Block, folder: Path) -> str:
    """Run it as somebody would who stands in the installation's folder."""
    psql = Path(command_line(database)[0])
    environment = database.environment | {
        "DATABASE_PUBLIC_URL": database.url,
        "PATH": f"{psql.parent}{os.pathsep}{os.environ['PATH']}",
        "PSQLRC": os.devnull,
        "SENTINEL_LOG_FOLDER": str(folder),
    }
    done = subprocess.run(  # noqa: S603 (our own page)
        ["/bin/sh", "-c", block.text.replace(".venv/bin/python", shlex.quote(sys.executable))],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    if block.expected["exit"] != "any":
        assert str(done.returncode) == block.expected["exit"], f"{block.text}{said}"
    assert block.expected.get("says", "") in said, f"{block.text}{said}"
    return said


def run_sql(database: ScratchDatabase, block: Block) -> None:
    done = run_psql(
        database, block.text, "--tuples-only", "--no-align", "--quiet", "--set=VERBOSITY=verbose"
    )
    errors = re.findall(r"^ERROR:  (\w{5}):", done.stderr, re.MULTILINE)
    if "error" in block.expected:
        assert errors[:1] == [block.expected["error"]], f"{block.text}{done.stderr}"
        return
    assert errors == [], f"{block.text}{done.stderr}"
    if block.expected["rows"] != "any":
        assert str(len(done.stdout.splitlines())) == block.expected["rows"], done.stdout


def test_every_command_of_the_page_does_what_it_says(
    production: ScratchDatabase, tmp_path: Path
) -> None:
    blocks = read_blocks()
    assert len(blocks) == PAGE.count("\n```") / 2, "a block has no language"
    for block in blocks:
        if block.language == "sh":
            run_shell(production, block, tmp_path)
        else:
            assert block.language == "sql"
            run_sql(production, block)


def test_what_the_page_calls_by_name_is_there(deployed: ScratchDatabase) -> None:
    there = {what.split()[1].split("(")[0] for _, what in read_definitions(deployed) if " " in what}
    there |= {table for table, _ in read_definitions(deployed)}
    schema = PAGE[PAGE.index("## Schema") : PAGE.index("## Deployment")]
    first_cells = re.findall(r"^\| (.*?) \| (.*?) \|", schema, re.MULTILINE)
    named = {
        name for cells in first_cells for cell in cells for name in re.findall(r"`([a-z]\w+)", cell)
    }
    assert {"feature_usage_events", "zzz_destinations_count_derive"} <= named
    missing = {name for name in named if not any(known.startswith(name) for known in there)}
    assert missing == set()
