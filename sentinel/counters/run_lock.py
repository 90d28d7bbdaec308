"""One run of a kind at a time in a database, behind pgbouncer in transaction mode as well."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, Error, connections

from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, kw_only=True)
class RunLock:
    """An advisory lock, held by an open transaction on a connection of its own.

    A lock of a session would not hold behind pgbouncer, which may give each transaction another
    session; a transaction keeps its session to its end. When the command is killed, the server
    ends the transaction and the lock is gone: nothing is left to be cleared away. The transaction
    does nothing and has no snapshot, so it holds back neither vacuum nor anybody else. It takes
    one connection of the pool while the run lasts.

    Attributes:
        connection: the connection of the open transaction.
        backend: the server's process that holds the lock.
    """

    connection: BaseDatabaseWrapper
    backend: int

    def is_held(self) -> bool:
        """Ask whether the transaction is still there."""
        return self.connection.is_usable()


@dataclass(frozen=True, kw_only=True)
class RunLockHolder:
    """Who holds the lock of a run.

    Attributes:
        pid: the server's process.
        user: its role; ? where this role may not know.
        host: where it is connected from.
        seconds: how long it has held the lock; None where this role may not know.
    """

    pid: int
    user: str
    host: str
    seconds: float | None


@contextmanager
def hold_run_lock(name: str, *, using: str = DEFAULT_DB_ALIAS) -> Iterator[RunLock | None]:
    """Keep other runs of this name out of the database; None where one is at work already."""
    queries = named_queries("run_lock")
    connection = connections[using].copy()
    try:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute(queries["outlast_timeouts"])
            cursor.execute(queries["try_lock"], [name])
            locked, backend = cursor.fetchone()
        yield RunLock(connection=connection, backend=backend) if locked else None
    finally:
        # By a word, not by hanging up: a pooler takes its time to end what a client left open, and
        # the next run would meet a lock that nobody holds. Where it is lost, so is the lock.
        with suppress(Error):
            connection.rollback()
        connection.close()


def find_holder(name: str, *, using: str = DEFAULT_DB_ALIAS) -> RunLockHolder | None:
    """Return who holds the lock of this name; None where nobody does. The lock is not taken."""
    with connections[using].cursor() as cursor:
        cursor.execute(named_queries("run_lock")["find_holder"], [name])
        found = cursor.fetchone()
    if found is None:
        return None
    pid, user, host, seconds = found
    return RunLockHolder(pid=pid, user=user, host=host, seconds=seconds)
