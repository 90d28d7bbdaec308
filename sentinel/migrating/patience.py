"""Waiting for a lock: shortly, again and again, and not for ever."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from django.db import DatabaseError

from sentinel.migrating.blockers import QUERIES, Blocker, watch_blockers
from sentinel.retries import passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

Result = TypeVar("Result")

LOOK_AFTER = 0.1  # seconds: who is still waited for then; shorter than every lock timeout here
LOCK_TIMEOUT = frozenset({"55P03"})  # passes here, beside what passes for everybody


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a migration waits for a lock.

    Attributes:
        lock_timeout: milliseconds that one attempt waits. While it waits, everybody who comes later
            waits behind it. Half a second is less than `deadlock_timeout`, so in a deadlock with a
            live writer it is the migration that loses.
        attempts: forty are a minute, which is longer than a request takes, and short enough for
            somebody to look at.
        shortest_pause: seconds between attempts; as long as one waited, so that who stood in line
            behind it has been served.
        longest_pause: seconds; of random length, so as not to keep step with a job that repeats.
    """

    lock_timeout: int = 500
    attempts: int = 40
    shortest_pause: float = 0.5
    longest_pause: float = 1.5


PATIENCE = Patience()


class LockedOutError(Exception):
    """A lock was not to be had.

    Attributes:
        blockers: whose transactions were waited for, as far as known.
        final: whether no further attempt is made.
    """

    def __init__(self, message: str, *, blockers: list[Blocker], final: bool) -> None:
        super().__init__(message)
        self.blockers = blockers
        self.final = final


@contextmanager
def limited_wait(connection: BaseDatabaseWrapper, *, patience: Patience) -> Iterator[None]:
    """Wait no longer than that for a lock; in a transaction, to whose end it holds.

    Raises:
        LockedOutError: a lock was not to be had, or a deadlock was met. Not final.
    """
    with connection.cursor() as cursor:
        cursor.execute(QUERIES["limit_wait"], [f"{patience.lock_timeout}ms"])
        [(_, backend)] = cursor.fetchall()
    with (
        watch_blockers(connection, backend=backend, after=LOOK_AFTER) as blockers,
        translated(blockers),
    ):
        yield


@contextmanager
def translated(blockers: list[Blocker]) -> Iterator[None]:
    """Turn what PostgreSQL says of a lock that was not to be had into an error of ours.

    Raises:
        LockedOutError: see `limited_wait`.
    """
    try:
        yield
    except DatabaseError as error:
        if not passes(error, also=LOCK_TIMEOUT):
            raise
        told = str(error).strip().splitlines()[0]
        raise LockedOutError(told, blockers=blockers, final=False) from error


def retry(
    attempt: Callable[[], Result], *, patience: Patience, tell: Callable[[str], None]
) -> Result:
    """Attempt something until its locks are to be had.

    Args:
        attempt: does all of its work or nothing.
        patience: how often, and with which pauses.
        tell: is given a line about each attempt that failed.

    Raises:
        LockedOutError: in none of the attempts; the message says who was in the way, and what to
            do.
    """
    known: list[Blocker] = []
    for number in range(1, patience.attempts + 1):
        try:
            return attempt()
        except LockedOutError as error:
            if error.final:
                raise
            known = error.blockers or known
            if number == patience.attempts:
                raise LockedOutError(
                    _explain_giving_up(error, known, patience), blockers=known, final=True
                ) from error
            tell(f"waits for {_name(known)}. Attempt {number} of {patience.attempts}.")
        time.sleep(random.uniform(patience.shortest_pause, patience.longest_pause))  # noqa: S311 (no secret)
    raise AssertionError  # the last attempt returns or raises


def _name(blockers: list[Blocker]) -> str:
    return "; ".join(str(blocker) for blocker in blockers) or "a lock that somebody held shortly"


def _explain_giving_up(error: LockedOutError, known: list[Blocker], patience: Patience) -> str:
    return (
        f"gave up after {patience.attempts} attempts of {patience.lock_timeout} ms ({error}). "
        f"Waited for {_name(known)}.\n"
        "Every step before this one is done, and this one was not begun. Let that transaction "
        "come to its end, or end it by SELECT pg_terminate_backend(pid); then run migrate again."
    )
