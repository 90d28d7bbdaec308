"""Databases of their own for tests that migrate."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[1]
SERVER = ("host", "port", "user", "password")


@dataclass(frozen=True, kw_only=True)
class ScratchDatabase:
    """A database that nobody else uses, and that is dropped after the test."""

    name: str
    server: dict[str, Any]

    @property
    def url(self) -> str:
        """The address for DATABASE_URL.

        What a socket's folder would be in a URL's host loses its capitals, so everything but the
        name stands in the query, as libpq allows.
        """
        return f"postgresql:///{quote(self.name)}?{urlencode(self.server)}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that uses this database."""
        return os.environ | {
            "DATABASE_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "sentinel.settings",
        }

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a connection that commits every statement."""
        return psycopg.connect(dbname=self.name, autocommit=True, **self.server)

    def run(self, statements: str) -> None:
        """Run SQL."""
        with self.connect() as database:
            database.execute(statements.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with self.connect() as database:
            return database.execute(query.encode()).fetchall()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py on this database, whatever comes of it."""
        return subprocess.run(  # noqa: S603 (our own command)
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def migrate(self, *arguments: str) -> None:
        """Run `manage.py migrate`, which must succeed."""
        done = self.manage("migrate", "--no-input", *arguments)
        assert done.returncode == 0, f"migrate {' '.join(arguments)} failed:\n{done.stderr}"

    def migrate_to_0001(self) -> None:
        """Migrate every app with a legacy schema to its first migration, from wherever it is."""
        self.migrate("threads", "0001")
        self.migrate("itineraries", "0001")
        self.migrate("usage", "0001")


@pytest.fixture
def scratch_database(django_db_setup: None) -> Iterator[ScratchDatabase]:
    """An empty database, on the server that the test suite uses."""
    parameters = connection.get_connection_params()
    server = {key: parameters[key] for key in SERVER if parameters.get(key)}
    name = f"scratch_{uuid4().hex}"
    with psycopg.connect(dbname="postgres", autocommit=True, **server) as maintenance:
        maintenance.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        )
        try:
            yield ScratchDatabase(name=name, server=server)
        finally:
            maintenance.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )
