"""One repair at a time in a database, behind pgbouncer in transaction mode as well."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections

from sentinel.counters.repair_run import RunUnderWay, find_running
from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper


class RepairRunningError(Exception):
    """Another repair is at work."""


class RepairLockLostError(Exception):
    """The transaction that keeps other repairs out was ended from outside."""


@dataclass(frozen=True, kw_only=True)
class RepairLock:
    """An advisory lock, held by an open transaction on a connection of its own.

    A lock of a session would not hold behind pgbouncer, which may give each transaction another
    session; a transaction keeps its session to its end. When the command is killed, the server
    ends the transaction and the lock is gone: nothing is left to be cleared away. The transaction
    does nothing and has no snapshot, so it holds back neither vacuum nor anybody else. It takes
    one connection of the pool while the repair lasts.

    Attributes:
        connection: the connection of the open transaction.
        backend: the server's process that holds the lock.
    """

    connection: BaseDatabaseWrapper
    backend: int

    def require(self) -> None:
        """Go on only while the lock is held.

        Raises:
            RepairLockLostError: it is held no longer.
        """
        if not self.connection.is_usable():
            raise RepairLockLostError(
                "the connection that kept other repairs out was ended. The batches that were "
                "committed stay: run it again for the rest."
            )


@contextmanager
def lock_repairs(*, using: str = DEFAULT_DB_ALIAS) -> Iterator[RepairLock]:
    """Keep other repairs out of the database.

    Raises:
        RepairRunningError: one is at work; the message says which and since when.
    """
    queries = named_queries("repair_lock")
    connection = connections[using].copy()
    try:
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute(queries["outlast_timeouts"])
            cursor.execute(queries["try_lock"])
            locked, backend = cursor.fetchone()
        if not locked:
            raise RepairRunningError(describe_running(find_running(using=using)))
        yield RepairLock(connection=connection, backend=backend)
    finally:
        connection.close()


def describe_running(run: RunUnderWay | None) -> str:
    """Return who runs, in a line."""
    if run is None:
        return "another repair has just begun. Wait for it to end."
    return (
        f"repair run {run.id} is at work: started {run.started_at} by {run.database_user} on "
        f"{run.host} (process {run.process}), {run.rows_repaired:,} rows repaired so far. Wait for "
        f"it to end; if {run.host} is gone, end it by SELECT pg_terminate_backend({run.backend})."
    )
