"""Constraints of tables that others write meanwhile, added without a long lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import router
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.operations.special import RunSQL

from sentinel.migrating.operations import QUERIES, BuildIndex, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState


class AddConstraint(Operation):
    """Adds a constraint of the deployed system that is missing, without a long lock.

    A foreign key or a check is added unchecked and then checked while others write; a unique
    constraint takes an index that was built while others write. There is no way back: the way in
    finds it there.

    Args:
        table: the table.
        name: of the constraint, where it is made.
        columns: its columns. One of the same kind on the same columns is as good.
        foreign_key: what follows `FOREIGN KEY (columns)`.
        check: the condition of a check. With neither it is a unique constraint.
    """

    category = OperationCategory.ADDITION
    reduces_to_sql = True
    reversible = True

    def __init__(
        self,
        *,
        table: str,
        name: str,
        columns: Sequence[str],
        foreign_key: str = "",
        check: str = "",
    ) -> None:
        self.table, self.name, self.columns = table, name, tuple(columns)
        self.foreign_key, self.check = foreign_key, check

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The state of the model has it already."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """See `Operation.database_forwards`."""
        if not router.allow_migrate(schema_editor.connection.alias, app_label):
            return
        kind = "f" if self.foreign_key else "c" if self.check else "u"
        found = (
            "missing"
            if schema_editor.collect_sql
            else ask(
                schema_editor,
                "constraint_state",
                {"table": self.table, "name": self.name, "columns": [*self.columns], "kind": kind},
            )
        )
        if found == "valid":
            return
        among = ", ".join(self.columns)
        if kind == "u":
            BuildIndex(name=self.name, on=f"{self.table} ({among})", unique=True).database_forwards(
                app_label, schema_editor, from_state, to_state
            )
            self._alter(schema_editor, f"ADD CONSTRAINT {self.name} UNIQUE USING INDEX {self.name}")
            return
        if found == "missing":
            rule = (
                f"CHECK ({self.check})"
                if self.check
                else f"FOREIGN KEY ({among}) {self.foreign_key}"
            )
            self._alter(schema_editor, f"ADD CONSTRAINT {self.name}\n    {rule} NOT VALID")
            found = self.name
        self._alter(schema_editor, f"VALIDATE CONSTRAINT {found}")

    def database_backwards(self, *_arguments: Any) -> None:
        """Keep it."""

    def describe(self) -> str:
        """See `Operation.describe`."""
        return f"Add constraint {self.name} to {self.table}"

    def _alter(self, schema_editor: BaseDatabaseSchemaEditor, change: str) -> None:
        schema_editor.execute(f"ALTER TABLE {self.table} {change}", params=None)


class RequireValue(RunSQL):
    """Makes a column NOT NULL that somebody made without, and gives it a default.

    A check that was validated while others write lets PostgreSQL believe it without reading the
    table under its lock. The rows must have values by then. There is no way back. Where nothing is
    missing nothing is locked.

    Args:
        table: the table.
        column: its column.
        default: what follows `SET DEFAULT`, where the column has none.
    """

    def __init__(self, *, table: str, column: str, default: str = "") -> None:
        self.table, self.column = table, column
        words = {"table": table, "column": column, "default": default or "NULL"}
        super().__init__(sql=QUERIES["require_value"].format(**words), reverse_sql=RunSQL.noop)

    def describe(self) -> str:
        """See `Operation.describe`."""
        return f"Require a value in {self.table}.{self.column}"
