"""What the migrations do to a database, step by step, read from the migrations themselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import RunSQL
from pgtrigger.migrations import AddTrigger

from sentinel.migrating.operations import SHORTER_WAIT, InOneTransaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from django.db.migrations import Migration
    from django.db.migrations.operations.base import Operation
    from django.db.migrations.state import ProjectState

# Statements that PostgreSQL refuses inside of a transaction.
ALONE = re.compile(r"\bCONCURRENTLY\b|^\s*COMMIT;", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
NOTHING = {"", "SELECT 1"}  # what a migration without effect says
DJANGO_NOTE = "-- THIS OPERATION CANNOT BE WRITTEN AS SQL"  # sqlmigrate's own words


class StepsError(Exception):
    """A migration does something that is no SQL."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """Statements that belong together.

    Attributes:
        migration: whose step it is, such as `threads.0002_thread_messages_count`.
        title: what it does, where its SQL does not say so.
        sql: one or more statements, each with its semicolon.
    """

    migration: str
    title: str
    sql: str

    @property
    def in_transaction(self) -> bool:
        """Whether it is one transaction; else it cannot run in any, and commits by itself."""
        return not ALONE.search(COMMENT.sub("", self.sql))


Key = tuple[str, str]


def read_graph() -> MigrationLoader:
    """Return the migrations of all apps. No database is asked."""
    return MigrationLoader(None)


def plan_forwards(loader: MigrationLoader, apps: Sequence[str]) -> list[Key]:
    """Return all migrations of some apps, and what they depend on, in their order."""
    plan: list[Key] = []
    for key in sorted(loader.graph.leaf_nodes()):
        if key[0] in apps:
            plan += [needed for needed in loader.graph.forwards_plan(key) if needed not in plan]
    return plan


def plan_backwards(loader: MigrationLoader, first: Iterable[Key]) -> list[Key]:
    """Return the migrations that are undone when these are to be the last, in that order."""
    plan: list[Key] = []
    for key in first:
        for child in sorted(loader.graph.node_map[key].children):
            if child.key[0] == key[0]:
                undone = loader.graph.backwards_plan(child.key)
                plan += [other for other in undone if other not in plan]
    return sorted(plan, key=lambda key: len(loader.graph.forwards_plan(key)), reverse=True)


def steps_forwards(loader: MigrationLoader, key: Key) -> list[Step]:
    """Return what a migration does when it is applied.

    Raises:
        StepsError: a part of it is no SQL.
    """
    state = loader.project_state(key, at_end=False)
    steps = [
        step
        for operation, before, after in _operations(
            _migration(loader, key).operations, key[0], state
        )
        for step in _step(key, _title(operation), _sql_forwards(operation, key, before, after))
    ]
    return _whole(_migration(loader, key), steps)


def steps_backwards(loader: MigrationLoader, key: Key) -> list[Step]:
    """Return what a migration does when it is undone.

    Raises:
        StepsError: a part of it is no SQL.
    """
    state = loader.project_state(key, at_end=False)
    operations = list(_operations(_migration(loader, key).operations, key[0], state))
    steps = [
        step
        for operation, before, after in reversed(operations)
        for step in _step(key, "", _sql_backwards(operation, key, before, after))
    ]
    return _whole(_migration(loader, key), steps)


def _migration(loader: MigrationLoader, key: Key) -> Migration:
    migration: Migration | None = loader.graph.nodes[key]
    if migration is None:  # Django's own words for one that it could not load
        raise StepsError(
            f"{'.'.join(key)} is named as a dependency, but there is no such migration."
        )
    return migration


def _operations(
    operations: Sequence[Operation], app: str, state: ProjectState
) -> Iterator[tuple[Operation, ProjectState, ProjectState]]:
    """Yield each operation with the state before and after it."""
    for operation in operations:
        after = state.clone()
        operation.state_forwards(app, after)
        yield operation, state, after
        state = after


def _sql_forwards(
    operation: Operation, key: Key, before: ProjectState, after: ProjectState
) -> list[str]:
    """Return the statements with which an operation is applied."""
    if isinstance(operation, InOneTransaction):
        lock = [SHORTER_WAIT, f"LOCK TABLE {operation.lock}"] if operation.lock else []
        parts = _operations(operation.operations, key[0], before)
        return lock + [text for part in parts for text in _sql_forwards(part[0], key, *part[1:])]
    if isinstance(operation, AddTrigger):  # by itself it opens a transaction, of which none is here
        return [str(operation.trigger.sql)]
    return _collect(operation, "database_forwards", key, before, after)


def _sql_backwards(
    operation: Operation, key: Key, before: ProjectState, after: ProjectState
) -> list[str]:
    """Return the statements with which an operation is undone.

    Triggers have none: the SQL files of a migration's way back drop them with their functions.
    """
    if isinstance(operation, InOneTransaction):
        parts = reversed(list(_operations(operation.operations, key[0], before)))
        return [text for part in parts for text in _sql_backwards(part[0], key, *part[1:])]
    if isinstance(operation, AddTrigger):
        return []
    return _collect(operation, "database_backwards", key, after, before)


def _collect(operation: Operation, direction: str, key: Key, *states: ProjectState) -> list[str]:
    """Return the statements that an operation would run, as `sqlmigrate` finds them."""
    editor: Any = connections[DEFAULT_DB_ALIAS].schema_editor(collect_sql=True, atomic=False)
    if operation.reduces_to_sql:
        with editor:
            getattr(operation, direction)(key[0], editor, *states)
    collected: list[str] = editor.collected_sql
    if not operation.reduces_to_sql or any(DJANGO_NOTE in text for text in collected):
        raise StepsError(
            f"{'.'.join(key)}: {operation.describe()!r} cannot be written as SQL, so psql cannot "
            "do what the migration does. Write it as RunSQL."
        )
    return collected


def _step(key: Key, title: str, statements: Sequence[str]) -> Iterator[Step]:
    """Yield a step of statements that do something; none where there is no such."""
    tidied = [
        _tidied(text) for text in statements if COMMENT.sub("", text).strip(" \n;") not in NOTHING
    ]
    if tidied:
        yield Step(migration=".".join(key), title=title, sql="\n".join(tidied))


def _title(operation: Operation) -> str:
    """Return what an operation does; SQL as a whole says so in its own comments."""
    if type(operation) is RunSQL:
        return ""
    if isinstance(operation, InOneTransaction):
        parts = [title for part in operation.operations if (title := _title(part))]
        return f"at once: {', '.join(parts)}"
    described = operation.describe()
    return described[0].lower() + described[1:]


def _whole(migration: Migration, steps: list[Step]) -> list[Step]:
    """Return the steps, made one where the migration is one transaction."""
    if not migration.atomic or not steps:
        return steps
    title = "; ".join(step.title for step in steps if step.title)
    return [
        Step(migration=steps[0].migration, title=title, sql="\n".join(step.sql for step in steps))
    ]


def _tidied(text: str) -> str:
    """Return SQL that ends with one semicolon, without the margin that it has in a Python file."""
    text = text.strip("\n").rstrip(" \n;")
    if "$" not in text:  # what a function's body looks like is kept
        text = dedent(text)
    return f"{text};"
