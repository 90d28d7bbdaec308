"""Counts uses: without a limit, up to the limit, and back.

What is refused by the database ends the transaction around it, as every error of PostgreSQL does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection

from usage.admission import Admission, use_feature
from usage.arguments import require_count, require_key, require_text, require_zone
from usage.errors import translated_errors
from usage.features import find_feature
from usage.statements import statement

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A use that was counted.

    Attributes:
        event_id: the event in the ledger, the first one where the key had been used.
        duplicate: whether the key had been used before, so that nothing was counted again.
        used: uses in the event's month, this one included.
    """

    event_id: int
    duplicate: bool
    used: int


def record(
    *,
    user_id: int,
    feature: str,
    quantity: int = 1,
    key: str | None = None,
    occurred_at: datetime | None = None,
    source: str = "record",
) -> Recorded:
    """Count uses of a feature, whatever the limit is.

    Args:
        user_id: who used it.
        feature: its name, as declared.
        quantity: how many uses.
        key: an idempotency key; with one that the user has used, nothing is counted again.
        occurred_at: when, with a time zone: it counts in that month, in UTC. None: the
            transaction's moment.
        source: where the use comes from, for the ledger.

    Raises:
        UnknownFeatureError: no feature of that name is declared.
        UnknownUserError: there is no such user.
        InvalidUsageError: the quantity is below 1, the moment has no time zone, the key is empty
            or too long.
        UsageOverflowError: the month's sum would be larger than its column holds.
    """
    require_count("quantity", quantity, least=1)
    require_key(key)
    require_zone("occurred_at", occurred_at)
    require_text("source", source)
    values: dict[str, Any] = {
        "user_id": user_id,
        "feature": find_feature(feature).name,
        "quantity": quantity,
        "key": key,
        "source": source,
        "occurred_at": occurred_at,
    }
    with translated_errors(), connection.cursor() as cursor:
        cursor.execute(statement("record_usage"), values)
        [(event_id, duplicate, used)] = cursor.fetchall()
    return Recorded(event_id=event_id, duplicate=duplicate, used=used)


def consume(
    *,
    user_id: int,
    feature: str,
    quantity: int = 1,
    key: str | None = None,
    now: datetime | None = None,
) -> Admission:
    """Use a feature if the user's limit admits it: compare and count in one round trip.

    However many do it at once, no more are admitted than the limit says. A refused use counts
    nothing. For a limit that is not one of uses, see `use_feature`.

    Args:
        user_id: who uses it.
        feature: its name, as declared.
        quantity: how many uses; all of them are admitted or none.
        key: an idempotency key; with one that the user has used, the answer is that of then, and
            nothing is counted again.
        now: the moment that counts, with a time zone; None for the transaction's.

    Raises:
        UnknownFeatureError, UnknownUserError, InvalidUsageError, UsageOverflowError: see `record`.
    """
    return use_feature(user_id=user_id, feature=feature, quantity=quantity, key=key, now=now)


def refund(*, event_id: int, reason: str) -> bool:
    """Give back what a use counted, in the month in which it was counted.

    Args:
        event_id: see `Admission` and `Recorded`.
        reason: why, for the ledger.

    Returns:
        Whether it was given back now. False where it had been before.

    Raises:
        UnknownEventError: there is no such event.
        InvalidUsageError: the reason says nothing.
    """
    require_text("reason", reason)
    with translated_errors(), connection.cursor() as cursor:
        cursor.execute(statement("refund_usage"), {"event_id": event_id, "reason": reason})
        [(given_back,)] = cursor.fetchall()
    return bool(given_back)
