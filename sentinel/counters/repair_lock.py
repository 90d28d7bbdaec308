"""One repair at a time in a database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS

from sentinel.counters.repair_run import RunUnderWay, find_running
from sentinel.counters.run_lock import RunLock, hold_run_lock

if TYPE_CHECKING:
    from collections.abc import Iterator


class RepairRunningError(Exception):
    """Another repair is at work."""


class RepairLockLostError(Exception):
    """The transaction that keeps other repairs out was ended from outside."""


class RepairLock(RunLock):
    """The lock of a repair."""

    def require(self) -> None:
        """Go on only while the lock is held.

        Raises:
            RepairLockLostError: it is held no longer.
        """
        if not self.is_held():
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
    with hold_run_lock("sentinel.repair", using=using) as lock:
        if lock is None:
            raise RepairRunningError(describe_running(find_running(using=using)))
        yield RepairLock(connection=lock.connection, backend=lock.backend)


def describe_running(run: RunUnderWay | None) -> str:
    """Return who runs, in a line."""
    if run is None:
        return "another repair has just begun. Wait for it to end."
    return (
        f"repair run {run.id} is at work: started {run.started_at} by {run.database_user} on "
        f"{run.host} (process {run.process}), {run.rows_repaired:,} rows repaired so far. Wait for "
        f"it to end; if {run.host} is gone, end it by SELECT pg_terminate_backend({run.backend})."
    )
