"""Databases of their own that live as long as a module's tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from django.db import connection
from psycopg.sql import SQL, Identifier

from tests.scratch import SERVER, ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def made_database(server: dict[str, object], *, owner: str | None = None) -> Iterator[str]:
    """An empty database on a server, by its name; dropped at the end."""
    name = f"faults_{uuid4().hex}"
    with psycopg.connect(dbname="postgres", autocommit=True, **server) as maintenance:  # type: ignore[arg-type]  # libpq's own words
        maintenance.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
        try:
            if owner:
                maintenance.execute(
                    SQL("ALTER DATABASE {} OWNER TO {}").format(Identifier(name), Identifier(owner))
                )
            yield name
        finally:
            maintenance.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def suite_server() -> dict[str, object]:
    """The server that the suite uses, as libpq's words."""
    parameters = connection.get_connection_params()
    return {key: parameters[key] for key in SERVER if parameters.get(key)}


@contextmanager
def migrated_database() -> Iterator[ScratchDatabase]:
    """A migrated database on the suite's server."""
    server = suite_server()
    with made_database(server) as name:
        database = ScratchDatabase(name=name, server=server)
        database.migrate()
        yield database
