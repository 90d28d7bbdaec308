"""Runs a transaction again that PostgreSQL has ended for a reason that passes."""

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
FIRST_PAUSE = 0.02  # seconds before the second attempt; twice that before the next, and so on

PASSING = frozenset({"40001", "40P01"})  # serialisation failure, deadlock
SERVER_SLIP = "new multixact has more than one updating member"  # XX000, see docs/design.md


def passes(error: DatabaseError) -> bool:
    """Tell whether the same transaction may well succeed when it is run again."""
    return getattr(error.__cause__, "sqlstate", None) in PASSING or SERVER_SLIP in str(error)


def retry_transaction(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function again when its transaction met a deadlock or a serialisation failure.

    Five attempts at most, with a growing pause of random length between them, so that two that met
    once do not meet again. The function must do all its work in one transaction of its own, and
    nothing else: all of it is done again.

    Inside a transaction of the caller's nothing is repeated. The error has ended that one, and only
    who began it can begin it again.
    """

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        pause = FIRST_PAUSE
        for _ in range(ATTEMPTS - 1):
            try:
                return function(*args, **kwargs)
            except DatabaseError as error:
                if not passes(error) or transaction.get_connection().in_atomic_block:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (no secret)
            pause *= 2
        return function(*args, **kwargs)

    return run
