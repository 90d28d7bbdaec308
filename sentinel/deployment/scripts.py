"""The files in deploy/ that operators run with psql, made from the migrations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from django.conf import settings
from psycopg.sql import SQL, Literal

from sentinel.counters import declared_counters
from sentinel.counters.statements import named_queries
from sentinel.counters.statements import render as render_engine
from sentinel.deployment.contradictions import CHECK, EXPECTED, FIRST
from sentinel.deployment.findings import SQL_FOLDER
from sentinel.deployment.steps import (
    Step,
    plan_backwards,
    plan_forwards,
    read_graph,
    steps_backwards,
    steps_forwards,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.sql import Composable

    from sentinel.counters import BoundCounter
    from sentinel.deployment.steps import Key

DEPLOY = "deploy"
INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?(\S+)")

# Tables of Django's own, and our columns for its admin: psql makes no Django of a database.
NOT_FOR_PSQL = frozenset({"accounts", "admin", "auth", "contenttypes", "sessions"})


@dataclass(frozen=True, kw_only=True)
class ForwardScript:
    """A file that does what migrations do.

    Attributes:
        name: the file's name.
        purpose: what it does, in a sentence.
        apps: whose migrations.
        tables: whose counters are audited at the end.

    The first migration of each app completes what the deployed system lacks. That is left to
    `manage.py migrate`; the file looks whether everything is there.
    """

    name: str
    purpose: str
    apps: tuple[str, ...]
    tables: tuple[str, ...]


FORWARD_SCRIPTS = (
    ForwardScript(
        name="migrate_add_counter_columns.sql",
        purpose="Counts the messages of each thread and the destinations of each itinerary.",
        apps=("threads", "itineraries"),
        tables=("chat_threads", "travel_itineraries"),
    ),
    ForwardScript(
        name="migrate_expand_feature_usage.sql",
        purpose="Puts a ledger below feature_usage, with limits, archive and summary.",
        apps=("usage",),
        tables=("feature_usage",),
    ),
)
ROLLBACK = "rollback.sql"
ROLLED_BACK_TO = tuple((app, FIRST) for script in FORWARD_SCRIPTS for app in script.apps)


def render_scripts() -> dict[str, str]:
    """Return the text of every file by its name. No database is asked.

    Raises:
        StepsError: a migration does something that is no SQL.
    """
    loader = read_graph()
    scripts = {}
    for script in FORWARD_SCRIPTS:
        plan = [key for key in plan_forwards(loader, script.apps) if is_for_psql(key)]
        steps = [_check_step(script.apps)]
        steps += [step for key in plan for step in steps_forwards(loader, key)]
        audits = [
            _audit(counter)
            for counter in declared_counters()
            if counter.parent._meta.db_table in script.tables
        ]
        scripts[script.name] = _script(script.purpose, steps, audits)
    plan = plan_backwards(loader, ROLLED_BACK_TO)
    steps = [step for key in plan for step in steps_backwards(loader, key)]
    scripts[ROLLBACK] = _script(
        "Gives the database back to the existing application, and keeps what holds data.",
        steps,
        [_forget(plan)],
    )
    return scripts


def is_for_psql(key: Key) -> bool:
    """Tell whether the files do what this migration does."""
    return key[0] not in NOT_FOR_PSQL and key[1] != FIRST


def find_stale_scripts(folder: Path | None = None) -> list[Path]:
    """Return the files that are missing, or not what the migrations say."""
    folder = folder or Path(settings.BASE_DIR) / DEPLOY
    return [
        path
        for name, text in render_scripts().items()
        if not (path := folder / name).is_file() or path.read_text(encoding="utf-8") != text
    ]


def write_scripts(folder: Path | None = None) -> list[Path]:
    """Write every file, and return those that were changed."""
    folder = folder or Path(settings.BASE_DIR) / DEPLOY
    stale = find_stale_scripts(folder)
    scripts = render_scripts()
    for path in stale:  # whole or not at all: somebody may be running the old one
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(scripts[path.name], encoding="utf-8")
        unfinished.replace(path)
    return stale


def _script(purpose: str, steps: Sequence[Step], ending: Sequence[str]) -> str:
    parts = [f"-- {purpose}\n--\n{_template('opening')}", *_printed(steps), *ending]
    return "\n\n\n".join(parts) + "\n"


def _printed(steps: Sequence[Step]) -> Iterator[str]:
    migration = ""
    for step in steps:
        text = _step(step)
        if step.migration != migration:
            migration = step.migration
            rule = "-" * (98 - len(migration))
            text = f"-- {migration} {rule}\n\\echo '{migration}'\n\n{text}"
        yield text


def _check_step(apps: Sequence[str]) -> Step:
    """Return the look at what is there, before anything is changed."""
    expected = [EXPECTED[app].read_text(encoding="utf-8") for app in ("accounts", *apps)]
    check = CHECK.read_text(encoding="utf-8")
    sql = "\n".join([check, *expected, _template("refuse")])
    return Step(migration="what is there", title="", sql=sql)


def _step(step: Step) -> str:
    if step.in_transaction:
        printed = _filled("step", tag=SQL("$step$"), body_tag=SQL("$body$"), body=SQL(step.sql))
    elif found := INDEX.search(step.sql):
        check = _filled("invalid_index", index=Literal(found[1]))
        printed = f"{check}\n\n{step.sql}"
    else:
        printed = step.sql
    if not step.title:
        return printed
    title = fill(step.title, 100, initial_indent="-- ", subsequent_indent="-- ")
    return f"{title}\n{printed}"


def _audit(counter: BoundCounter) -> str:
    return _filled(
        "audit",
        name=SQL(counter.name),
        differs=render_engine("audit", "differs"),
        comparison=counter.comparison(None),
    )


def _forget(plan: Sequence[Key]) -> str:
    keys = [SQL("({}, {})").format(Literal(app), Literal(name)) for app, name in plan]
    return _filled("forget_migrations", migrations=SQL(", ").join(keys))


def _template(name: str) -> str:
    return named_queries("scripts", SQL_FOLDER)[name]


def _filled(part: str, **words: Composable) -> str:
    return SQL(_template(part)).format(**words).as_string(None)
