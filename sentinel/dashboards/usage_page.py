"""What the page of usage shows of a report: figures, and the line by day, also in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.dashboards.charts import Chart, Mark, Series
from sentinel.dashboards.figures import Figure, Tone, describe_change
from sentinel.dashboards.formats import show_day, show_month, show_number
from sentinel.dashboards.rows_behind import months_behind, refusals_behind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage.reporting import Comparison, MonthReport, Span


def describe_days(span: Span) -> str:
    """Return which days a report is about, and what they are compared to."""
    if not span.current:
        return f"The whole month in UTC, compared to {show_month(span.previous)}."
    return (
        f"1 to {show_day(span.through)} in UTC, compared to 1 to {show_day(span.previous_through)}."
    )


def summarise(report: MonthReport) -> list[Figure]:
    """Return the figures at the head of the page, each with what it was and its rows."""
    month, plan = report.span.month, report.plan
    behind = months_behind(month=month, archived=report.archived, plan=plan)
    refused = bool(report.refusals.current)
    return [
        _figure("Uses", report.uses, report.span, href=behind),
        _figure("Active users", report.active_users, report.span, href="#users"),
        _figure(
            "Refusals",
            report.refusals,
            report.span,
            href=refusals_behind(month=month, plan=plan) if refused else "#refusals",
        ),
        _figure("Users near a limit", report.near_limit, report.span, href="#limits"),
        _figure("Users at a limit", report.at_limit, report.span, href="#limits"),
    ]


def _figure(label: str, figure: Comparison, span: Span, *, href: str) -> Figure:
    if figure.before is None:
        note = f"{show_month(span.previous)}: not counted"
    else:
        days = f" up to the {_ordinal(span.previous_through.day)}" if span.current else ""
        note = f"{show_number(figure.before)} in {span.previous:%B}{days}"
    return Figure(
        label=label,
        value=show_number(figure.current),
        change=describe_change(difference=figure.difference, change=figure.change),
        note=note,
        href=href,
        tone=Tone.NEUTRAL,  # whether more is good is not ours to say
    )


def draw_days(report: MonthReport, *, downloads: Mapping[str, str]) -> Chart:
    """Return the line by day: this month, and the one before."""
    span = report.span
    month, previous = show_month(span.month), show_month(span.previous)
    return Chart(
        slug="days",
        title="Uses by day",
        description=_describe_line(report),
        axis="Day",
        labels=[str(line.number) for line in report.days],
        series=[
            Series(name=month, values=[line.uses for line in report.days]),
            Series(name=previous, values=[line.before for line in report.days], mark=Mark.DASHES),
        ],
        downloads=downloads,
        empty="Uses by day are not counted yet: manage.py refresh_usage_summary does.",
    )


def _describe_line(report: MonthReport) -> str:
    counted = [line for line in report.days if line.uses]
    if not counted:
        return f"No use on any day of {show_month(report.span.month)}."
    most = max(counted, key=lambda line: line.uses or 0)
    mean = sum(line.uses or 0 for line in counted) / report.span.through.day
    return (
        f"{show_number(mean)} a day on average, and the most on the {_ordinal(most.number)}: "
        f"{show_number(most.uses)}."
    )


def _ordinal(day: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{day}{'th' if 10 < day < 20 else endings.get(day % 10, 'th')}"  # noqa: PLR2004
