"""What a plan allows of a feature, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.dashboards.formats import show_number
from usage import Kind, Per, find_feature

if TYPE_CHECKING:
    from usage import FeatureLimit


def describe_limit(limit: FeatureLimit) -> str:
    """Return a limit in words, such as "50 messages a month"."""
    feature = find_feature(limit.feature)
    if not limit.included:
        return "not in the plan"
    if feature.kind is Kind.TIERED:
        return limit.tier or "in the plan"
    if limit.limit is None:
        return "unlimited" if limit.per else "in the plan"
    counted = f"{show_number(limit.limit)} {feature.one if limit.limit == 1 else feature.many}"
    ends = {
        Per.MONTH: "a month",
        Per.LIFETIME: "in all",
        Per.ACCOUNT: "at a time",
        Per.OBJECT: f"in a {feature.of}",
    }
    return f"{counted} {ends[limit.per]}" if limit.per else counted
