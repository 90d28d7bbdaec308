"""Where a figure leads: the list of the rows that it was made of, in the admin's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from sentinel.dashboards.tables import More

if TYPE_CHECKING:
    from datetime import date


def months_behind(
    *,
    month: date,
    archived: bool = False,
    feature: str | None = None,
    plan: str | None = None,
    user_id: int | None = None,
) -> str:
    """Return the list of the users' months.

    Args:
        month: the first day of the month.
        archived: those that are in the archive, instead of the others.
        feature: of one feature alone.
        plan: of the users of one plan; the archive knows no plans.
        user_id: of one user alone.
    """
    chosen = _month("period_start", month)
    if feature:
        chosen["feature"] = feature
    if plan and not archived:
        chosen["user__plan__name__exact"] = plan
    if user_id:
        chosen["user_id__exact" if archived else "user__id__exact"] = str(user_id)
    page = "featureusagearchive" if archived else "featureusage"
    return f"{reverse(f'admin:usage_{page}_changelist')}?{urlencode(chosen)}"


def refusals_behind(*, month: date, feature: str | None = None, plan: str | None = None) -> str:
    """Return the list of what was refused in a month."""
    chosen = _month("day", month)
    if feature:
        chosen["feature"] = feature
    if plan:
        chosen["plan"] = plan
    return f"{reverse('admin:usage_featurerefusal_changelist')}?{urlencode(chosen)}"


def more_in(page: str, *, user_id: int, column: str = "user__id__exact") -> More:
    """Return the way from a table of the newest rows to the list of all, of one user.

    Args:
        page: the list of the admin, such as "threads_chatthread".
        user_id: whose rows.
        column: what the list knows the user by; "user_id__exact" where that is a plain number.
    """
    address = f"{reverse(f'admin:{page}_changelist')}?{urlencode({column: user_id})}"
    return More(text="The newest are shown.", action="Show all", href=address)


def _month(column: str, month: date) -> dict[str, str]:
    after = _next_month(month)
    return {f"{column}__gte": month.isoformat(), f"{column}__lt": after.isoformat()}


def _next_month(month: date) -> date:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
