"""What passes of the errors that PostgreSQL ends a transaction with, and how to try again."""

from __future__ import annotations

import random
import time
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from django.db import DatabaseError, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

ATTEMPTS = 5  # who loses five times in a row stands in a queue that more attempts make longer
FIRST_PAUSE = 0.02  # seconds before a request's second attempt; twice that before the next, ...
BATCH_FIRST_PAUSE = 0.1  # likewise for a batch, which nobody waits for

PASSING = frozenset({"40001", "40P01"})  # serialisation failure, deadlock
ENDED = frozenset({"55P03", "57014"})  # lock timeout, cancelled statement: a batch has time
SERVER_SLIP = "new multixact has more than one updating member"  # XX000, see docs/reliability.md


def sqlstate(error: DatabaseError) -> str:
    """Return PostgreSQL's code of an error; empty where it did not come from the server."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def passes(error: DatabaseError, *, also: frozenset[str] = frozenset()) -> bool:
    """Tell whether the same transaction may well succeed when it is run again.

    Args:
        error: what it ended with.
        also: codes that pass for this caller, beside those that pass for everybody.
    """
    return sqlstate(error) in PASSING | also or SERVER_SLIP in str(error)


def pause_before_next(attempt: int, *, first: float = FIRST_PAUSE) -> None:
    """Wait after an attempt that failed. Jittered: two that met once do not meet again.

    Args:
        attempt: which has failed, from 1.
        first: seconds after the first one; twice that after the second, and so on.
    """
    time.sleep(first * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)


def retry_transaction(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function again when its transaction met a deadlock or a serialisation failure.

    Five attempts at most, with a growing pause of random length between them. The function must do
    all its work in one transaction of its own, and nothing else: all of it is done again.

    Inside a transaction of the caller's nothing is repeated. The error has ended that one, and only
    who began it can begin it again.
    """

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for attempt in range(1, ATTEMPTS):
            try:
                return function(*args, **kwargs)
            except DatabaseError as error:
                if not passes(error) or transaction.get_connection().in_atomic_block:
                    raise
            pause_before_next(attempt)
        return function(*args, **kwargs)

    return run
