"""The database that is measured, and connections to it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import connection as django_connection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[tuple[Any, ...]]

WORDS = {"dbname": "PGDATABASE", "host": "PGHOST", "port": "PGPORT", "user": "PGUSER"}

# The same for all ways, and for every connection, whoever makes it.
SETTINGS = {
    "synchronous_commit": "off",  # a disk's wait would hide what is compared
    "jit": "off",  # whether it pays is an estimate, which differs from round to round
}


@dataclass(frozen=True, kw_only=True)
class Database:
    """How to reach it.

    Attributes:
        parameters: in libpq's words.
    """

    parameters: dict[str, Any]

    @property
    def major(self) -> str:
        """PostgreSQL's major version."""
        with self.connect() as connection:
            return str(connection.info.server_version // 10_000)

    @contextmanager
    def connect(self, schema: str = "public") -> Iterator[Connection]:
        """Open a connection that commits every statement and sees one peer's tables."""
        with psycopg.connect(
            make_conninfo(**self.parameters, options=f"-c search_path={schema}"),
            autocommit=True,
            prepare_threshold=None,  # as Django's connections are
        ) as connection:
            yield connection

    def environment(self, schema: str) -> dict[str, str]:
        """Return the environment of a libpq program that sees one peer's tables."""
        given = {
            variable: str(self.parameters[word])
            for word, variable in WORDS.items()
            if self.parameters.get(word)
        }
        if password := self.parameters.get("password"):
            given["PGPASSWORD"] = str(password)
        return os.environ | given | {"PGOPTIONS": f"-c search_path={schema}"}


def present_database() -> Database:
    """Return the one that Django's default connection uses, with the settings of a run.

    The settings are the database's own, so that pgbench and Django have them alike.
    """
    parameters = django_connection.get_connection_params()
    known = ("dbname", "host", "port", "user", "password")
    database = Database(parameters={k: parameters[k] for k in known if parameters.get(k)})
    with database.connect() as connection:
        for name, value in SETTINGS.items():
            connection.execute(
                SQL("ALTER DATABASE {} SET {} = {}").format(
                    Identifier(str(database.parameters["dbname"])), Identifier(name), SQL(value)
                )
            )
    django_connection.close()  # the next one has the settings
    return database


def server_milliseconds(connection: Connection, query: str) -> float:
    """Return the execution time of a query on the server, without planning and round trip."""
    explain = "EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON)"
    [(plan,)] = connection.execute(f"{explain} {query}").fetchall()
    return float(plan[0]["Execution Time"])
