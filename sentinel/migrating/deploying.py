"""One deployer at a time, with patience, after a look at what is there."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from django.db import connections

from sentinel.counters.run_lock import find_holder, hold_run_lock
from sentinel.migrating.patience import PATIENCE, Patience, retry
from sentinel.migrating.schema_editor import PatientSchemaEditor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

LOCK = "sentinel.migrate"
LONGEST_WAIT = 3600.0  # seconds for another deployer; the largest takeover measured took minutes
LOOK_EVERY = 1.0  # second; a lock that is waited for would hold up the other one's indexes
SPEAK_EVERY = 60.0  # seconds


class DeployerAtWorkError(Exception):
    """Another deployer did not come to an end."""


def run_migrations(
    migrate: Callable[[], object],
    *,
    using: str,
    tell: Callable[[str], None],
    before: Callable[[], None] = lambda: None,
    patience: Patience = PATIENCE,
    longest_wait: float = LONGEST_WAIT,
) -> None:
    """Run migrations alone in a database, and again as long as their locks are not to be had.

    What is done is recorded, migration by migration, so a further run goes on where the last one
    stopped.

    Args:
        migrate: makes the plan and carries it out, on the connection `using`.
        using: the alias of the database.
        tell: is given a line about each wait.
        before: looks whether migrations may be run at all, when nobody else runs them.
        patience: with locks.
        longest_wait: seconds to wait for another deployer.

    Raises:
        DeployerAtWorkError: another one is at work for too long.
        LockedOutError: a lock is not to be had.
    """
    with _alone(using, tell, longest_wait), _patient(connections[using], patience, tell):
        before()
        retry(migrate, patience=patience, tell=tell)


@contextmanager
def _patient(
    connection: BaseDatabaseWrapper, patience: Patience, tell: Callable[[str], None]
) -> Iterator[None]:
    """Let the connection make patient schema editors."""
    usual = connection.SchemaEditorClass
    connection.SchemaEditorClass = partial(PatientSchemaEditor, patience=patience, tell=tell)  # type: ignore[assignment]  # Django only calls it
    try:
        yield
    finally:
        connection.SchemaEditorClass = usual


@contextmanager
def _alone(using: str, tell: Callable[[str], None], longest_wait: float) -> Iterator[None]:
    """Hold the deployers' lock.

    It is asked for again and again, not waited for: a statement that waits has a snapshot, and the
    other deployer's CREATE INDEX CONCURRENTLY would wait for that.

    Raises:
        DeployerAtWorkError: see `run_migrations`.
    """
    begun = time.monotonic()
    speak_at = begun
    while True:
        with ExitStack() as stack:
            if stack.enter_context(hold_run_lock(LOCK, using=using)) is not None:
                yield
                return
        now = time.monotonic()
        if now - begun > longest_wait:
            raise DeployerAtWorkError(
                f"{_describe_deployer(using)} It was waited for {longest_wait:,.0f} s. Look "
                "what it does, end it if it hangs, and run migrate again."
            )
        if now >= speak_at:
            tell(f"{_describe_deployer(using)} Waits for it to end.")
            speak_at = now + SPEAK_EVERY
        time.sleep(LOOK_EVERY)


def _describe_deployer(using: str) -> str:
    found = find_holder(LOCK, using=using)
    if found is None:
        return "Another deployer was at work until just now."
    return (
        f"Another deployer is at work: process {found.pid} of the server, role {found.user}, from "
        f"{found.host}, for {found.seconds or 0:,.0f} s."
    )
