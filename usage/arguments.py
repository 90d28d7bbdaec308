"""Refuses arguments that mean nothing, before the database does: its errors end transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage.errors import InvalidUsageError

if TYPE_CHECKING:
    from datetime import datetime

LARGEST = 2_147_483_647  # of the integer columns
REFUND_KEY = "refund:"  # begins the keys of refunds, so that each event is given back once
LONGEST_KEY = 200  # characters: more than the id of any request has


def require_count(name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number of at least so much.

    Raises:
        InvalidUsageError: the message names the argument and its value.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= LARGEST:  # type: ignore[operator]  # an int by now
        raise InvalidUsageError(
            f"{name}={value!r}: give a whole number of {least} or more, {LARGEST:,} at most."
        )


def require_zone(name: str, value: datetime | None) -> None:
    """Refuse a moment that could lie in two months.

    Raises:
        InvalidUsageError: the moment has no time zone.
    """
    if value is not None and value.utcoffset() is None:
        raise InvalidUsageError(
            f"{name}={value!r} has no time zone: give one, such as datetime.now(UTC)."
        )


def require_key(value: str | None) -> None:
    """Refuse an idempotency key that the ledger does not hold.

    Raises:
        InvalidUsageError: it is empty, too long, or holds what PostgreSQL cannot store.
    """
    if value is not None and ("\x00" in value or not 1 <= len(value) <= LONGEST_KEY):
        raise InvalidUsageError(
            f"key={value[:40]!r} with {len(value)} characters: "
            f"give 1 to {LONGEST_KEY}, without the character NUL."
        )
    if value is not None and value.startswith(REFUND_KEY):
        raise InvalidUsageError(
            f"key={value[:40]!r}: keys that begin with {REFUND_KEY!r} are those of refunds."
        )


def require_text(name: str, value: str) -> None:
    """Refuse a text that says nothing.

    Raises:
        InvalidUsageError: it is empty or blank, or holds what PostgreSQL cannot store.
    """
    if not value.strip() or "\x00" in value:
        raise InvalidUsageError(f"{name}={value!r} says nothing: write why.")
