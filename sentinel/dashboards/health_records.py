"""Tables and a chart of what audits found, repairs changed, the archive moved, and jobs did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from sentinel.dashboards.charts import Chart, Mark, Series
from sentinel.dashboards.figures import Tone
from sentinel.dashboards.formats import show_day, show_number
from sentinel.dashboards.tables import Cell, Column, Kind, More, Table, cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel.dashboards.health_reading import HealthDay, HealthReport

# How runs and jobs ended, whatever they are of.
OUTCOME_TONES = {
    "running": Tone.NEUTRAL,
    "complete": Tone.GOOD,
    "incomplete": Tone.WARNING,
    "broken": Tone.BAD,
    "failed": Tone.BAD,
    "killed": Tone.BAD,
    "lost": Tone.BAD,
}


def history_chart(days: Sequence[HealthDay]) -> Chart:
    """Return the chart of what audits found and repairs did."""
    audits = sum(day.audits for day in days)
    inexact = sum(day.inexact for day in days)
    repaired = sum(day.rows_repaired for day in days)
    worst = max(days, key=lambda day: day.rows_in_drift)
    said = (
        f"{show_number(audits)} audits of counters in {len(days)} days, {show_number(inexact)} of "
        f"them not exact; {show_number(repaired)} rows repaired."
    )
    if worst.rows_in_drift:
        said += (
            f" The most were in drift on {show_day(worst.day)}: {show_number(worst.rows_in_drift)}."
        )
    return Chart(
        slug="history",
        title="Audits and repairs",
        description=said,
        axis="Day",
        labels=[f"{day.day.day} {day.day:%b}" for day in days],
        series=[
            Series(
                name="Rows in drift, found",
                values=[day.rows_in_drift if day.audits else None for day in days],
                mark=Mark.BARS,
            ),
            Series(
                name="Rows repaired", values=[day.rows_repaired for day in days], mark=Mark.BARS
            ),
        ],
        empty="No audit yet.",
    )


def audit_table(report: HealthReport) -> Table:
    """Return the newest audits."""
    return Table(
        slug="audits",
        title="Last audits",
        columns=[
            Column(title="Audited", kind=Kind.MOMENT),
            Column(title="Counter"),
            Column(title="Result"),
            Column(title="In drift", kind=Kind.NUMBER),
        ],
        rows=[
            cells(
                Cell(
                    value=audit.audited_at,
                    href=reverse("admin:counters_counteraudit_change", args=[audit.pk]),
                ),
                Cell(value=column, note=f"of {table}"),
                Cell(
                    value="exact" if audit.exact else "not exact",
                    tone=Tone.GOOD if audit.exact else Tone.BAD,
                ),
                audit.rows_in_drift,
            )
            for audit in report.audits
            for table, column in [audit.counter.split(".")]
        ],
        empty="No audit yet: `manage.py audit_counters` makes one, and so does the button above.",
        more=_more(report.audits, "admin:counters_counteraudit_changelist"),
    )


def repair_table(report: HealthReport) -> Table:
    """Return the newest runs of repairs."""
    return Table(
        slug="repairs",
        title="Last repairs",
        columns=[
            Column(title="Started", kind=Kind.MOMENT),
            Column(title="Outcome"),
            Column(title="Repaired", kind=Kind.NUMBER),
            Column(title="Left", kind=Kind.NUMBER),
            Column(title="Rows"),
        ],
        rows=[
            cells(
                Cell(
                    value=run.started_at,
                    href=reverse("admin:counters_counterrepairrun_change", args=[run.pk]),
                ),
                Cell(value=run.outcome, tone=OUTCOME_TONES.get(run.outcome, Tone.NEUTRAL)),
                run.rows_repaired,
                run.rows_skipped + run.rows_left,
                Cell(
                    value="show",
                    href=reverse("admin:counters_counterrepair_changelist") + f"?q={run.pk}",
                ),
            )
            for run in report.repair_runs
        ],
        empty="Nothing was ever repaired.",
        more=_more(report.repair_runs, "admin:counters_counterrepairrun_changelist"),
    )


def archive_table(report: HealthReport) -> Table:
    """Return the newest runs of the archive."""
    return Table(
        slug="archive-runs",
        title="Archive runs",
        columns=[
            Column(title="Started", kind=Kind.MOMENT),
            Column(title="State"),
            Column(title="Months before", kind=Kind.DAY),
            Column(title="Months", kind=Kind.NUMBER, hint="Rows, one a user and feature."),
            Column(title="Events", kind=Kind.NUMBER),
        ],
        rows=[
            cells(
                Cell(
                    value=run.started_at,
                    href=reverse("admin:usage_archiverun_change", args=[run.pk]),
                ),
                Cell(value=run.state, tone=OUTCOME_TONES.get(run.state, Tone.NEUTRAL)),
                run.before,
                run.rows_moved,
                run.events_moved,
            )
            for run in report.archive_runs
        ],
        note=" ".join(f"{line.name}: {line.message}".capitalize() for line in report.status.lines),
        empty="Nothing was archived yet.",
        more=_more(report.archive_runs, "admin:usage_archiverun_changelist"),
    )


def job_table(report: HealthReport) -> Table:
    """Return the newest jobs."""
    return Table(
        slug="jobs",
        title="Asked for here",
        columns=[
            Column(title="Asked for", kind=Kind.MOMENT),
            Column(title="What"),
            Column(title="By"),
            Column(title="State"),
            Column(title="Result"),
        ],
        rows=[
            cells(
                Cell(value=job.requested_at, href=reverse("dashboards:job", args=[job.pk])),
                job.kind,
                f"user {job.requested_by}",
                Cell(value=job.state, tone=OUTCOME_TONES.get(job.state, Tone.NEUTRAL)),
                job.summary,
            )
            for job in report.jobs
        ],
        empty="Nobody has asked for an audit or a repair on this page.",
    )


def _more(shown: Sequence[object], address: str) -> More | None:
    """Lead to the page of all, where there are any."""
    if not shown:
        return None
    return More(text=f"The newest {len(shown)}.", action="Show all", href=reverse(address))
