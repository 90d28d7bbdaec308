"""Makes records of the rows of a month's queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage.errors import UnknownFeatureError
from usage.features import find_feature
from usage.reporting.months import next_month
from usage.reporting.records import LimitLine, RefusalLine, Span, UserLine

if TYPE_CHECKING:
    from datetime import datetime

# An hour: at the beginning of a month every use would be a pace beyond measure.
LEAST_ELAPSED = 1 / (31 * 24)


def title_of(feature: str) -> str:
    """Return how people read a feature; its name where it is not declared any more."""
    try:
        return find_feature(feature).title
    except UnknownFeatureError:
        return feature


def month_values(span: Span, *, plan: str | None, now: datetime) -> dict[str, Any]:
    """Return the values of the queries about a month."""
    return {
        "month": span.month,
        "next_month": next_month(span.month),
        "previous": span.previous,
        "previous_through": span.previous_through,
        "plan": plan,
        "now": now,
        "user_id": None,
        "first": None,
        "last": None,
    }


def read_user(row: tuple[Any, ...], *, total: int) -> UserLine:
    """Read a row of the query `users`; `total` is what all users have used."""
    user_id, name, email, plan, uses, features, last_at = row[:7]
    return UserLine(
        user_id=user_id,
        name=name or "",
        email=email,
        plan=plan,
        uses=uses,
        share=share_of(uses, total),
        features=features,
        last_at=last_at,
    )


def read_limit(row: tuple[Any, ...], *, span: Span) -> LimitLine:
    """Read a row of the query `limits`."""
    user_id, name, email, plan, feature, used, limit, overridden = row
    return LimitLine(
        user_id=user_id,
        name=name or "",
        email=email,
        plan=plan,
        feature=feature,
        title=title_of(feature),
        used=used,
        limit=limit,
        overridden=overridden,
        pace=used / limit / max(span.elapsed, LEAST_ELAPSED),
    )


def read_refusal(row: tuple[Any, ...]) -> RefusalLine:
    """Read a row of the query `refused`."""
    feature, plan, refusals, users, last_at = row
    return RefusalLine(
        feature=feature,
        title=title_of(feature),
        plan=plan,
        refusals=refusals,
        users=users,
        last_at=last_at,
    )


def share_of(part: int, whole: int) -> float:
    """Return a part of a whole, 0 to 1; 0 where there is nothing, or more was given back."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0
