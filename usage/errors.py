"""What can be wrong with a request to count, and how the database says it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import DatabaseError

from sentinel.retries import sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator


class UsageError(Exception):
    """A use that cannot be counted as it was asked for. Nothing was written."""


class UnknownFeatureError(UsageError, LookupError):
    """No feature of that name is declared."""


class UnknownUserError(UsageError, LookupError):
    """There is no such user."""


class UnknownEventError(UsageError, LookupError):
    """There is no such event in the ledger."""


class InvalidUsageError(UsageError, ValueError):
    """A quantity, key, time or reason that means nothing."""


class InvalidGateError(ValueError):
    """A gate that is declared wrongly. It is raised when the module is imported."""


class UsageOverflowError(UsageError, OverflowError):
    """The sum would be larger than its column holds."""


_BY_STATE: dict[str, type[UsageError]] = {
    "23503": UnknownUserError,
    "P0002": UnknownEventError,
    "22023": InvalidUsageError,
    "22003": UsageOverflowError,
}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what the functions of the database refuse as a `UsageError` with the same words.

    Any other error of the database passes as it is. Inside a transaction either one ends it, as
    errors of PostgreSQL do, up to the last savepoint.
    """
    try:
        yield
    except DatabaseError as error:
        cause = error.__cause__
        known = _BY_STATE.get(sqlstate(error))
        if known is None:
            raise
        diagnosis = getattr(cause, "diag", None)
        words = [getattr(diagnosis, part, None) for part in ("message_primary", "message_hint")]
        raise known(". ".join(filter(None, words))) from error
