"""Roles: who may write rows, who may only read, and who alone can touch a trigger."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier, Literal

from sentinel.counters import ChildCount, LedgerTotal, declared_counters
from sentinel.counters.statements import named_queries
from sentinel.deployment.findings import SQL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.sql import Composable

    from sentinel.counters import BoundCounter

LONGEST_NAME = 63  # bytes; PostgreSQL cuts off what is longer
RESERVED = {"public", "none"}  # no role can be called so


class RolesError(Exception):
    """Names that cannot stand for four roles."""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The names of four roles of the server.

    Attributes:
        owner: owns the tables and functions, and migrates.
        application: our application's.
        existing: that of the application which was there before ours.
        reporter: reads what is audited.

    Raises:
        RolesError: two of them are the same, or one is no name of a role.
    """

    owner: str
    application: str
    existing: str
    reporter: str

    def __post_init__(self) -> None:
        names: tuple[str, ...] = astuple(self)
        for name in names:
            if not name or "\0" in name or name.lower() in RESERVED or name.startswith("pg_"):
                raise RolesError(f"no role can be called {name!r}: give the name of a role.")
            if len(name.encode()) > LONGEST_NAME:
                raise RolesError(f"{name!r} is longer than the {LONGEST_NAME} bytes of a name.")
        if len(set(names)) < len(names):
            raise RolesError(f"{', '.join(names)}: give four different names.")


def preparation_sql(roles: Roles) -> str:
    """Return SQL that gives the owner what it needs to migrate, for a superuser to run before."""
    return _filled("preparation", owner=Identifier(roles.owner))


def grants_sql(roles: Roles) -> str:
    """Return SQL that gives each role the rights it needs, and takes away those it must not have.

    One transaction, with comments; it can be run again. It refuses roles whose rights no GRANT
    could narrow.
    """
    names = {field: Identifier(name) for field, name in vars(roles).items()}
    others = [roles.application, roles.existing, roles.reporter]
    return _filled(
        "grants",
        **names,
        owner_text=Literal(roles.owner),
        others_text=Literal(json.dumps(others)),
        audited=SQL(",\n            ").join(audited_tables(declared_counters())),
    )


def _filled(query: str, **words: Composable) -> str:
    return SQL(named_queries("grants", SQL_FOLDER)[query]).format(**words).as_string(None) + "\n"


def audited_tables(counters: Sequence[BoundCounter]) -> list[Composable]:
    """Return the tables that an audit of these counters reads, sorted, each once."""
    tables = set()
    for counter in counters:
        tables.add(counter.parent._meta.db_table)
        if isinstance(counter, ChildCount | LedgerTotal):
            tables.add(counter.child._meta.db_table)
    return [Identifier("public", table) for table in sorted(tables)]
