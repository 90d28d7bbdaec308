"""Operations of migrations for tables that others write meanwhile. Each can be done again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.special import RunSQL
from django.db.transaction import atomic
from psycopg.sql import SQL, Identifier

from sentinel.counters.statements import named_queries
from sentinel.migrating.schema_editor import PatientSchemaEditor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

QUERIES = named_queries("present", Path(__file__).with_name("sql"))
SHORTER_WAIT = "SET LOCAL lock_timeout = '200ms'"  # of each of two tables: below half a second


class BuildIndex(RunSQL):
    """Builds an index while others read and write, where there is none of that name.

    An index that a build has left behind invalid, because it failed or was killed, is dropped and
    built anew: `IF NOT EXISTS` alone would keep it.

    Args:
        name: of the index.
        on: table, columns and condition, as they follow `ON`.
        unique: whether it is.
        removed: whether the way back drops it; an index of the deployed system stays.
        state_operations: see `RunSQL`.
    """

    def __init__(
        self,
        *,
        name: str,
        on: str,
        unique: bool = False,
        removed: bool = True,
        state_operations: Sequence[Operation] = (),
    ) -> None:
        self.name = name
        drop = SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(Identifier(name)).as_string(None)
        kind = "UNIQUE INDEX" if unique else "INDEX"
        super().__init__(
            sql=f"CREATE {kind} CONCURRENTLY IF NOT EXISTS {name}\n    ON {on}",
            reverse_sql=drop if removed else RunSQL.noop,
            state_operations=list(state_operations),
        )
        self.drop_sql = drop

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """See `Operation.database_forwards`."""
        if not schema_editor.collect_sql:
            state = ask(schema_editor, "index_state", [self.name])
            if state == "valid":
                return
            if state == "invalid":
                schema_editor.execute(self.drop_sql, params=None)
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        """See `Operation.describe`."""
        return f"Build index {self.name}"


class InOneTransaction(Operation):
    """Several operations in one transaction of a migration with `atomic = False`.

    For what must change at once, and only for that: a transaction that locks two tables can meet a
    writer that has locked them the other way round. `lock` is therefore taken first and whole, and
    waited for more shortly: the writers of one table wait while the other is waited for.

    Args:
        operations: what is done, or undone in reverse.
        lock: what follows `LOCK TABLE`; nothing is locked beforehand without it.
        apart_backwards: undo each of them by itself.
    """

    category = OperationCategory.MIXED
    reduces_to_sql = True
    reversible = True

    def __init__(
        self, *, operations: Sequence[Operation], lock: str = "", apart_backwards: bool = False
    ) -> None:
        self.operations = list(operations)
        self.lock = lock
        self.apart_backwards = apart_backwards

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """See `Operation.state_forwards`."""
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,  # noqa: ARG002 (Django gives it)
    ) -> None:
        """See `Operation.database_forwards`."""
        steps = self._states(app_label, from_state)

        def work() -> None:
            if self.lock:
                schema_editor.execute(f"{SHORTER_WAIT};\nLOCK TABLE {self.lock}", params=None)
            for operation, before, after in steps:
                operation.database_forwards(app_label, schema_editor, before, after)

        _run_in_one_transaction(schema_editor, work)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,  # noqa: ARG002 (Django gives it)
        to_state: ProjectState,
    ) -> None:
        """See `Operation.database_backwards`: `to_state` is the one before all of them."""
        steps = self._states(app_label, to_state)

        def work() -> None:
            for operation, before, after in reversed(steps):
                operation.database_backwards(app_label, schema_editor, after, before)

        if self.apart_backwards:
            work()
        else:
            _run_in_one_transaction(schema_editor, work)

    def describe(self) -> str:
        """See `Operation.describe`."""
        return "At once: " + ", ".join(operation.describe() for operation in self.operations)

    def _states(
        self, app_label: str, first: ProjectState
    ) -> list[tuple[Operation, ProjectState, ProjectState]]:
        """Return each operation with the states before and after it."""
        steps, before = [], first
        for operation in self.operations:
            after = before.clone()
            operation.state_forwards(app_label, after)
            steps.append((operation, before, after))
            before = after
        return steps


def _run_in_one_transaction(
    schema_editor: BaseDatabaseSchemaEditor, work: Callable[[], None]
) -> None:
    if isinstance(schema_editor, PatientSchemaEditor):
        schema_editor.run_in_one_transaction(work)
    elif schema_editor.collect_sql:
        work()
    else:
        with atomic(using=schema_editor.connection.alias):
            work()


def ask(schema_editor: BaseDatabaseSchemaEditor, query: str, values: Any) -> str:
    """Return what a query of `present.sql` says of what is there already."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(QUERIES[query], values)
        [(answer,)] = cursor.fetchall()
    return str(answer)
