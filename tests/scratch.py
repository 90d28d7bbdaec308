"""Databases of their own for tests that migrate."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
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
    from collections.abc import Iterator, Sequence

PROJECT = Path(__file__).parents[1]
SERVER = ("host", "port", "user", "password")
# In one process, since most of the time of a command is its start.
TO_0001 = (
    "-c",
    """
import django
from django.core.management import call_command
django.setup()
for app in ("threads", "itineraries", "usage"):
    call_command("migrate", app, "0001", interactive=False)
""",
)


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

    def manage(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run manage.py on this database, whatever comes of it."""
        return self.python(("manage.py", *arguments), timeout=timeout)

    def python(
        self, arguments: Sequence[str], *, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run Python on this database, whatever comes of it."""
        return subprocess.run(  # noqa: S603 (our own code)
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def migrate(self, *arguments: str) -> None:
        """Run `manage.py migrate`, which must succeed."""
        done = self.manage("migrate", "--no-input", *arguments)
        assert done.returncode == 0, f"migrate {' '.join(arguments)} failed:\n{done.stderr}"

    def migrate_to_0001(self) -> None:
        """Migrate every app with a legacy schema to its first migration, from wherever it is."""
        done = self.python(TO_0001)
        assert done.returncode == 0, f"migrate to 0001 failed:\n{done.stderr}"


@contextmanager
def new_database() -> Iterator[ScratchDatabase]:
    """Make an empty database on the server that the test suite uses, and drop it afterwards."""
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


@pytest.fixture
def scratch_database(django_db_setup: None) -> Iterator[ScratchDatabase]:
    """An empty database, on the server that the test suite uses."""
    with new_database() as database:
        yield database
