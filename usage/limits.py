"""What a user's plan allows, and what they have used of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection
from psycopg.sql import SQL

from usage.arguments import require_zone
from usage.counts import registered_counts
from usage.errors import translated_errors
from usage.features import FEATURES, Per
from usage.statements import statement

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class FeatureLimit:
    """How much of a feature a user is allowed.

    Attributes:
        feature: the feature's name.
        plan: the user's plan at that moment; FREE after a trial.
        limit: None is unlimited, or simply there; 0 is not in the plan.
        per: what the limit holds for; None where nothing is counted.
        tier: the word of a tiered feature.
        overridden: whether the limit is the user's own and not the plan's.
    """

    feature: str
    plan: str
    limit: int | None
    per: Per | None
    tier: str | None
    overridden: bool

    @property
    def included(self) -> bool:
        """Whether the user has the feature at all."""
        return self.limit != 0


@dataclass(frozen=True, kw_only=True)
class FeatureStanding(FeatureLimit):
    """How much of a feature a user is allowed and has used.

    Attributes:
        used: uses of the month or lifetime, or what the user holds, by what the limit is for. None
            where it is for each object, where nothing is counted, and where nobody has said how
            (`register_count`).
        resets_at: when a monthly limit starts anew; None for the others.
    """

    used: int | None
    resets_at: datetime | None

    @property
    def remaining(self) -> int | None:
        """What is left, 0 at least; None where unlimited or where `used` is not known."""
        if self.limit is None or self.used is None:
            return None
        return max(0, self.limit - self.used)


def limits_for(*, user_id: int, now: datetime | None = None) -> dict[str, FeatureLimit]:
    """Return what a user is allowed of every feature, in one query, in the price list's order.

    Args:
        user_id: the user.
        now: the moment, with a time zone, for trials and overrides; None for the transaction's.

    Raises:
        UnknownUserError: there is no such user.
        InvalidUsageError: the moment has no time zone.
    """
    rows = _fetch(statement("limits"), user_id=user_id, now=now)
    return {
        name: FeatureLimit(
            feature=name,
            plan=plan,
            limit=limit,
            per=per and Per(per),
            tier=tier,
            overridden=overridden,
        )
        for name, plan, limit, per, tier, overridden in rows
    }


def usage_for(*, user_id: int, now: datetime | None = None) -> dict[str, FeatureStanding]:
    """Return what a user is allowed and has used of every feature, in one query.

    Args, errors: see `limits_for`.
    """
    query = SQL(statement("standings")).format(held=registered_counts())
    rows = _fetch(query.as_string(None), user_id=user_id, now=now)
    return {
        name: FeatureStanding(
            feature=name,
            plan=plan,
            limit=limit,
            per=per and Per(per),
            tier=tier,
            overridden=overridden,
            used=used,
            resets_at=resets_at,
        )
        for name, plan, limit, per, tier, overridden, used, resets_at in rows
    }


def _fetch(query: str, *, user_id: int, now: datetime | None) -> list[tuple[Any, ...]]:
    require_zone("now", now)
    values = {
        "user_id": user_id,
        "now": now,
        "features": [feature.name for feature in FEATURES],
    }
    with translated_errors(), connection.cursor() as cursor:
        cursor.execute(query, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
