"""The tables of a user's page, for the page and for downloads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

from django.urls import reverse

from sentinel.dashboards.exports import Format
from sentinel.dashboards.figures import Tone
from sentinel.dashboards.formats import show_month, show_number
from sentinel.dashboards.limit_words import describe_limit
from sentinel.dashboards.rows_behind import months_behind, more_in
from sentinel.dashboards.tables import Cell, Column, Kind, Table, cells
from sentinel.dashboards.user_holdings import Holdings, itineraries_table, threads_table
from usage import UnknownFeatureError, find_feature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from usage import FeatureLimit, FeatureStanding
    from usage.limit_models import LimitOverride
    from usage.reporting import UserEvent, UserMonth, UserReport

NEAR = 0.8  # of a limit, as on the page of usage
HISTORY_MONTHS = 12  # a year, as the chart has
FEATURE = Column(title="Feature")


def user_tables(
    report: UserReport, *, holdings: Holdings, now: datetime, with_downloads: bool
) -> Mapping[str, Table]:
    """Return the tables of a user by their slugs."""
    tables = [
        _standings(report),
        _features(report),
        _overrides(report, now=now),
        threads_table(holdings, user_id=report.user_id),
        itineraries_table(holdings, user_id=report.user_id),
        _events(report),
        _history(report),
        _refusals(report),
    ]
    if with_downloads:
        tables = [_with_downloads(table, user_id=report.user_id) for table in tables]
    return {table.slug: table for table in tables}


def _with_downloads(table: Table, *, user_id: int) -> Table:
    downloads = {
        file_format.upper(): reverse(
            "dashboards:user_download", args=[user_id, table.slug, file_format]
        )
        for file_format in Format
    }
    return replace(table, downloads=downloads)


def _standings(report: UserReport) -> Table:
    return Table(
        slug="limits",
        title="Used and left",
        columns=(
            FEATURE,
            Column(title="Limit"),
            Column(title="Used", kind=Kind.NUMBER),
            Column(title="Remaining", kind=Kind.NUMBER),
            Column(title="Starts anew", kind=Kind.DAY),
        ),
        rows=[_standing_row(one) for one in report.standings if one.per is not None],
        note="As the gates see it now. Nothing is shown as used where the limit is one for each "
        "thread, itinerary or view.",
    )


def _standing_row(standing: FeatureStanding) -> tuple[Cell, ...]:
    share, tone = None, Tone.NEUTRAL
    if standing.limit and standing.used is not None:
        share = min(1.0, standing.used / standing.limit)
        tone = Tone.BAD if share == 1 else Tone.WARNING if share >= NEAR else Tone.NEUTRAL
    return cells(
        _feature_cell(standing),
        describe_limit(standing),
        Cell(value=standing.used, share=share, tone=tone),
        standing.remaining,
        standing.resets_at and standing.resets_at.date(),
    )


def _feature_cell(limit: FeatureLimit) -> Cell:
    note = "a limit of their own" if limit.overridden else ""
    return Cell(value=find_feature(limit.feature).title, note=note)


def _features(report: UserReport) -> Table:
    return Table(
        slug="features",
        title="Other features of the plan",
        columns=(FEATURE, Column(title="In the plan")),
        rows=[
            cells(
                _feature_cell(one),
                Cell(
                    value=describe_limit(one),
                    tone=Tone.GOOD if one.included else Tone.NEUTRAL,
                ),
            )
            for one in report.standings
            if one.per is None
        ],
    )


def _overrides(report: UserReport, *, now: datetime) -> Table:
    return Table(
        slug="overrides",
        title="Limits of their own",
        columns=(
            FEATURE,
            Column(title="Limit"),
            Column(title="Until", kind=Kind.MOMENT),
            Column(title="Reason"),
        ),
        rows=[_override_row(override, now=now) for override in report.overrides],
        empty="None: the limits of the plan hold.",
    )


def _title_of(override: LimitOverride) -> str:
    """Return the feature's title; its name where it is not declared any more."""
    try:
        return find_feature(override.feature).title
    except UnknownFeatureError:
        return override.feature


def _override_row(override: LimitOverride, *, now: datetime) -> tuple[Cell, ...]:
    limit = "unlimited" if override.usage_limit is None else show_number(override.usage_limit)
    over = override.until is not None and override.until <= now
    return cells(
        Cell(
            value=_title_of(override),
            href=reverse("admin:usage_limitoverride_change", args=[override.pk]),
        ),
        " ".join(filter(None, (limit, override.per and f"per {override.per}", override.tier))),
        Cell(value=override.until, note="over" if over else ""),
        override.reason,
    )


def _events(report: UserReport) -> Table:
    return Table(
        slug="events",
        title="Last events",
        columns=(
            Column(title="When", kind=Kind.MOMENT),
            FEATURE,
            Column(title="Quantity", kind=Kind.DIFFERENCE),
            Column(title="Source"),
            Column(title="Reason"),
        ),
        rows=[
            cells(
                Cell(value=event.occurred_at, note=_counted_in(event)),
                event.title,
                event.quantity,
                event.source,
                event.reason,
            )
            for event in report.events
        ],
        empty="No event in the ledger.",
        more=more_in("usage_featureusageevent", user_id=report.user_id),
    )


def _counted_in(event: UserEvent) -> str:
    """Return the month that an event counts in, where it is not that of its day."""
    if event.month == event.occurred_at.astimezone(UTC).date().replace(day=1):
        return ""
    return f"counts in {show_month(event.month)}"


def _history(report: UserReport) -> Table:
    months = sorted({line.month for line in report.history}, reverse=True)[:HISTORY_MONTHS]
    lines = [line for line in report.history if line.month in months]
    used = {(line.title, line.month): line for line in lines}
    titles = dict.fromkeys(line.title for line in lines)  # the most used of the last month first
    return Table(
        slug="history",
        title="History by month",
        columns=(
            FEATURE,
            *(Column(title=f"{month:%b %Y}", kind=Kind.NUMBER) for month in months),
        ),
        rows=[
            cells(title, *(_month_cell(used.get((title, month)), report) for month in months))
            for title in titles
        ],
        note=f"The last {HISTORY_MONTHS} months that have any, archived ones included.",
        empty="Nothing was ever used.",
    )


def _month_cell(line: UserMonth | None, report: UserReport) -> Cell:
    if line is None:
        return Cell(value=None)
    behind = months_behind(
        month=line.month, archived=line.archived, feature=line.feature, user_id=report.user_id
    )
    return Cell(value=line.uses, href=behind)


def _refusals(report: UserReport) -> Table:
    return Table(
        slug="refusals",
        title="Refusals",
        columns=(
            FEATURE,
            Column(title="Plan"),
            Column(title="Refusals", kind=Kind.NUMBER),
            Column(title="Last", kind=Kind.MOMENT),
        ),
        rows=[cells(line.title, line.plan, line.refusals, line.last_at) for line in report.refused],
        note="Of this month and the two before.",
        empty="Nothing was refused.",
        more=more_in("usage_featurerefusal", user_id=report.user_id, column="user_id__exact"),
    )
