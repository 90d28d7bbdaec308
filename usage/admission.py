"""One use of a feature, checked against the user's limit and recorded in one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import connection

from usage.arguments import require_count, require_key, require_zone
from usage.errors import translated_errors
from usage.features import Per, find_feature
from usage.statements import statement

if TYPE_CHECKING:
    from collections.abc import Sequence


class Reason(StrEnum):
    """Why a use is refused."""

    DISABLED = "disabled"  # the plan does not have the feature
    LIMIT = "limit"  # it would be more than the plan allows
    TIER = "tier"  # the plan has it, in another tier


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What came of a use.

    Attributes:
        admitted: whether the use may go on. With `enforce=False` it always may.
        reason: why it may not, or, with `enforce=False`, would not.
        plan: the user's plan at that moment; FREE after a trial, and None where unknown.
        required_plan: the cheapest plan above it that would admit the use; None where none would,
            where the limit is the user's own, or where nothing was refused.
        limit: None is unlimited, 0 is not in the plan.
        per: what the limit holds for; None for a feature that is there or not, or has a tier.
        tier: the word of a tiered feature.
        overridden: whether the limit is the user's own and not the plan's.
        used_before: uses of the month or lifetime before this one; None for other limits.
        used_after: the same afterwards.
        resets_at: when a monthly limit starts anew.
        duplicate: whether the key had been used before, so that nothing was counted again.
        event_id: the event in the ledger, for `refund`; None where nothing was recorded.
        tracking_error: what the database said, where `tolerant` kept it from being raised.
        error_in: "limit" where the limit could not be checked, "tracking" where only the record
            failed, None where nothing did.
    """

    admitted: bool
    reason: Reason | None
    plan: str | None
    required_plan: str | None
    limit: int | None
    per: Per | None
    tier: str | None
    overridden: bool
    used_before: int | None
    used_after: int | None
    resets_at: datetime | None
    duplicate: bool
    event_id: int | None
    tracking_error: str | None
    error_in: str | None

    @property
    def remaining(self) -> int | None:
        """Uses that are left; None where they are unlimited or not what is limited."""
        if self.limit is None or self.used_after is None:
            return None
        return max(0, self.limit - self.used_after)


def use_feature(
    *,
    user_id: int,
    feature: str,
    quantity: int = 1,
    key: str | None = None,
    provided: int | None = None,
    tiers: Sequence[str] | None = None,
    track: bool = True,
    enforce: bool = True,
    tolerant: bool = False,
    source: str = "consume",
    now: datetime | None = None,
) -> Admission:
    """Check one use of a feature and record it, in one round trip. `consume` is simpler.

    Args:
        user_id: who uses it.
        feature: its name, as declared.
        quantity: how many uses to record where the limit is not one of uses.
        key: an idempotency key; with one that the user has used, nothing is counted again.
        provided: how much is asked for. Where uses are limited, so many are taken; elsewhere it is
            what there would be with this use, such as the destinations of the trip. None: the
            quantity.
        tiers: the words of a tiered feature that will do; None for any.
        track: whether to record it. If not, nothing is written.
        enforce: whether the limit binds. If not, the use is admitted and recorded all the same,
            and `reason` says what would have become of it.
        tolerant: whether an error of the database is returned instead of raised, with the caller's
            transaction unharmed. It costs a subtransaction.
        source: where the use comes from, for the ledger.
        now: the moment that counts, with a time zone; None for the transaction's.

    Raises:
        UnknownFeatureError, InvalidUsageError: also where `tolerant`; nothing was asked.
        UnknownUserError, UsageOverflowError: see `translated_errors`.
    """
    require_count("quantity", quantity, least=1)
    if provided is not None:
        require_count("provided", provided, least=0)
    require_key(key)
    require_zone("now", now)
    values: dict[str, Any] = {
        "user_id": user_id,
        "feature": find_feature(feature).name,
        "quantity": quantity,
        "key": key,
        "provided": provided,
        "tiers": None if tiers is None else list(tiers),
        "track": track,
        "enforce": enforce,
        "tolerant": tolerant,
        "source": source,
        "now": now,
    }
    with translated_errors(), connection.cursor() as cursor:
        cursor.execute(statement("use_feature"), values)
        [(came,)] = cursor.fetchall()
    limit, reason, per, resets_at = map(came.pop, ("usage_limit", "reason", "per", "resets_at"))
    return Admission(
        limit=limit,
        reason=reason and Reason(reason),
        per=per and Per(per),
        resets_at=resets_at and datetime.fromisoformat(resets_at),
        **came,
    )
