"""What the system catalogues say about the tables of the counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from django.db import connections
from pgtrigger import features

from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FIRES = "OA"  # pg_trigger.tgenabled: on origin and local writes (the default), or always


class Installed(NamedTuple):
    """A trigger and its function."""

    trigger: str
    table: str
    enabled: str
    definition: str
    body: str
    function: str
    security_definer: bool
    settings: list[str]
    function_owner: str
    table_owner: str

    @property
    def fires(self) -> bool:
        """Whether it fires in an ordinary session."""
        return self.enabled in FIRES

    @property
    def is_of_the_engine(self) -> bool:
        """Whether its function was installed by our template, whatever it is called."""
        return any(setting.startswith("sentinel.engine=") for setting in self.settings)


class IndexState(NamedTuple):
    """An index, how large it is, and how often it was used.

    Attributes:
        columns: its key columns in their order, None for an expression.
        scans: since the statistics were last reset.
        size: bytes.
    """

    table: str
    name: str
    columns: list[str | None]
    partial: bool
    valid: bool
    scans: int
    size: int


class ForeignKeyState(NamedTuple):
    """A foreign key of a table."""

    table: str
    constraint: str
    columns: list[str]
    deferrable: bool


class Relative(NamedTuple):
    """A table whose rows are rows of another as well.

    Attributes:
        table: the one that was asked for.
        name: the relative, as SQL names it.
        place: "below", as a partition is, or "above".
    """

    table: str
    name: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What was read, for some tables.

    Attributes:
        columns: for each table that is there, its columns, and whether each is NOT NULL.
        triggers: the triggers on these tables, and those of the engine on any other.
        idle_functions: trigger functions of the engine that no trigger calls.
        relatives: their partitions, and what they are partitions of.
    """

    columns: Mapping[str, Mapping[str, bool]]
    indexes: tuple[IndexState, ...]
    foreign_keys: tuple[ForeignKeyState, ...]
    triggers: tuple[Installed, ...]
    idle_functions: tuple[str, ...]
    relatives: tuple[Relative, ...]


def read_catalog(tables: Collection[str], *, using: str) -> Catalog:
    """Read what there is about some tables.

    Needs no rights on the tables themselves.
    """
    queries = named_queries("health")
    parameters = {"tables": list(tables), "schema": features.schema()}
    columns: dict[str, dict[str, bool]] = {}
    with connections[using].cursor() as cursor:
        cursor.execute(queries["columns"], parameters)
        for table, column, not_null in cursor.fetchall():
            columns.setdefault(table, {})[column] = not_null
        cursor.execute(queries["indexes"], parameters)
        indexes = tuple(IndexState(*row) for row in cursor.fetchall())
        cursor.execute(queries["foreign_keys"], parameters)
        foreign_keys = tuple(ForeignKeyState(*row) for row in cursor.fetchall())
        cursor.execute(queries["triggers"], parameters)
        triggers = tuple(Installed(*row) for row in cursor.fetchall())
        cursor.execute(queries["idle_functions"], parameters)
        idle_functions = tuple(name for (name,) in cursor.fetchall())
        cursor.execute(queries["relatives"], parameters)
        relatives = tuple(Relative(*row) for row in cursor.fetchall())
    return Catalog(
        columns=columns,
        indexes=indexes,
        foreign_keys=foreign_keys,
        triggers=triggers,
        idle_functions=idle_functions,
        relatives=relatives,
    )
