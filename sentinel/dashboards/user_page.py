"""What a user's page shows beside its tables: the account in short, and its months as a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.dashboards.charts import Chart, Mark, Series
from sentinel.dashboards.formats import show_day, show_month, show_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from sentinel.accounts.models import User
    from sentinel.dashboards.user_holdings import Holdings
    from usage.reporting import UserReport

MONTHS = 12  # a year: what was used in this season before


def describe_user(
    user: User, *, report: UserReport, holdings: Holdings
) -> Sequence[tuple[str, str]]:
    """Return the account in short, as names and values."""
    plan = report.standings[0].plan if report.standings else str(user.plan_id)
    if user.plan_id and user.plan_id != plan:
        plan = f"{plan} (trial of {user.plan_id} is over)"
    elif user.is_trial:
        until = show_day(user.trial_ends_at.date()) if user.trial_ends_at else "an open end"
        plan = f"{plan} (on trial until {until})"
    threads = show_number(holdings.threads)
    if holdings.archived_threads:
        threads += f", {show_number(holdings.archived_threads)} of them archived"
    return (
        ("Account", f"{user.pk}" if user.is_active else f"{user.pk} (not active)"),
        ("Plan", plan),
        ("Since", show_day(user.created_at.date() if user.created_at else None)),
        ("Threads", threads),
        ("Itineraries", show_number(holdings.itineraries)),
    )


def draw_history(report: UserReport, *, now: datetime) -> Chart:
    """Return the uses of all features in the last twelve months."""
    used = _uses_by_month(report)
    months = _months_until(now.date().replace(day=1))
    values = [used.get(month, 0) for month in months]
    most = max(months, key=lambda month: used.get(month, 0))
    return Chart(
        slug="months",
        title="Uses by month",
        description=f"{show_number(sum(values))} uses of all features in the last {MONTHS} months, "
        f"and the most in {show_month(most)}: {show_number(used.get(most, 0))}.",
        axis="Month",
        labels=[f"{month:%b %Y}" for month in months],
        series=[
            Series(name="Uses", values=values if any(values) else [None] * MONTHS, mark=Mark.BARS)
        ],
        empty=f"Nothing was used in the last {MONTHS} months.",
    )


def _uses_by_month(report: UserReport) -> dict[date, int]:
    used: dict[date, int] = {}
    for line in report.history:
        used[line.month] = used.get(line.month, 0) + line.uses
    return used


def _months_until(last: date) -> list[date]:
    numbers = range(last.year * 12 + last.month - MONTHS, last.year * 12 + last.month)
    return [last.replace(year=number // 12, month=number % 12 + 1) for number in numbers]
