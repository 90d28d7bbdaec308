"""How the counters are now: a verdict, figures, a table, and what is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from sentinel.counters import Severity
from sentinel.dashboards.figures import Figure, Tone
from sentinel.dashboards.formats import show_number
from sentinel.dashboards.tables import Cell, Column, Kind, Table, cells

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sentinel.counters import Problem
    from sentinel.counters.status import CounterStatus, StatusReport
    from sentinel.dashboards.health_reading import HealthReport
    from sentinel.dashboards.job_models import JobKind

TRIGGER_PREFIXES = ("counters.trigger_", "counters.function_")
INDEX_PREFIX = "counters.index_"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
HOT_HINT = "Updates that wrote no index: the cheap ones. A counter in an index has fewer of them."


def show_age(age: timedelta | None) -> str:
    """Return how long ago something was, in its largest unit: 3 h ago."""
    if age is None:
        return "never"
    for unit, name in ((DAY, "day"), (HOUR, "h"), (MINUTE, "min")):
        if age >= unit:
            number = age // unit
            plural = "s" if unit is DAY and number > 1 else ""
            return f"{show_number(number)} {name}{plural} ago"
    return "just now"


def describe_verdict(status: StatusReport) -> tuple[str, Tone]:
    """Return in a sentence how the counters are, and how that is meant."""
    total = len(status.counters)
    wrong = [counter for counter in status.counters if counter.rows_in_drift]
    broken = [counter for counter in status.counters if counter.serious_problems]
    late = [counter for counter in status.counters if counter.overdue]
    if wrong:
        return f"{len(wrong)} of {total} counters had rows in drift at the last audit.", Tone.BAD
    if broken:
        return f"{len(broken)} of {total} counters may drift: see what is wrong below.", Tone.BAD
    if late:
        return f"{len(late)} of {total} counters were not audited in time.", Tone.WARNING
    if not status.ok:
        return f"All {total} counters are exact; something else needs a look.", Tone.WARNING
    return f"All {total} counters are exact.", Tone.GOOD


def health_figures(report: HealthReport) -> list[Figure]:
    """Return the figures at the top of the page."""
    counters = report.status.counters
    in_drift = sum(counter.rows_in_drift or 0 for counter in counters)
    checked = sum(counter.last_audit.rows_checked for counter in counters if counter.last_audit)
    serious = sum(len(counter.serious_problems) for counter in counters)
    repaired = sum(day.rows_repaired for day in report.days)
    oldest = report.status.oldest_age
    late = any(counter.overdue for counter in counters)
    audits = reverse("admin:counters_counteraudit_changelist")
    return [
        Figure(
            label="Rows in drift",
            value=show_number(in_drift),
            note=f"of {show_number(checked)} rows at the last audits",
            href=f"{audits}?exact__exact=0" if in_drift else audits,
            change="Repair them below" if in_drift else "",
            tone=Tone.BAD if in_drift else Tone.GOOD,
        ),
        Figure(
            label="Oldest proof",
            value=show_age(oldest),
            change="Too old" if late else "",
            note="A counter is to be audited every night.",
            href=audits,
            tone=Tone.WARNING if late else Tone.GOOD,
        ),
        Figure(
            label="Problems",
            value=show_number(serious),
            change="A counter would drift" if serious else "",
            note="of triggers, functions, columns and indexes",
            href="#problems",
            tone=Tone.BAD if serious else Tone.GOOD,
        ),
        Figure(
            label="Rows repaired",
            value=show_number(repaired),
            note=f"in the last {len(report.days)} days",
            href=reverse("admin:counters_counterrepair_changelist"),
        ),
    ]


def counter_table(statuses: Sequence[CounterStatus], *, allowed: Collection[JobKind]) -> Table:
    """Return the table of counters, with what the reader is allowed to have done to each."""
    columns = [
        Column(title="Counter"),
        Column(title="State"),
        Column(title="Last audit", kind=Kind.MOMENT),
        Column(title="Rows", kind=Kind.NUMBER, hint="Rows that the last audit compared."),
        Column(title="In drift", kind=Kind.NUMBER, hint="Rows that were not what they should be."),
        Column(title="Triggers"),
        Column(title="Indexes"),
        Column(title="HOT", kind=Kind.PERCENT, hint=HOT_HINT),
        *(Column(title=f"{kind.capitalize()} it") for kind in allowed),
    ]
    return Table(
        slug="counters",
        title="Counters",
        columns=columns,
        rows=[_counter_row(status, allowed=allowed) for status in statuses],
        note="What an audit found holds for its moment. Triggers and indexes are as they are now.",
        empty="No counter is declared.",
    )


def _counter_row(status: CounterStatus, *, allowed: Collection[JobKind]) -> Sequence[Cell]:
    audit = status.last_audit
    table, column = status.counter.split(".")
    audits = reverse("admin:counters_counteraudit_changelist")
    of_counter = f"{audits}?{urlencode({'counter': status.counter})}"
    return cells(
        Cell(value=column, href=of_counter, note=f"of {table}"),
        _state_cell(status),
        Cell(value=audit.audited_at if audit else None, note=show_age(status.age)),
        audit.rows_checked if audit else None,
        Cell(
            value=audit.rows_in_drift if audit else None,
            note=f"by {show_number(audit.largest_drift)} at most"
            if audit and audit.rows_in_drift
            else "",
        ),
        _part_cell(status.problems, TRIGGER_PREFIXES, well="in place"),
        _index_cell(status),
        Cell(
            value=status.updates.hot_ratio,
            note=f"of {show_number(status.updates.all)}" if status.updates.all else "no updates",
            share=status.updates.hot_ratio,
        ),
        *(
            Cell(value=kind.capitalize(), href=_confirmation(kind, status.counter))
            for kind in allowed
        ),
    )


def _confirmation(kind: JobKind, counter: str) -> str:
    return f"{reverse(f'dashboards:confirm-{kind}')}?{urlencode({'counter': counter})}"


def _state_cell(status: CounterStatus) -> Cell:
    if status.rows_in_drift:
        return Cell(value="in drift", tone=Tone.BAD)
    if status.serious_problems:
        return Cell(value="may drift", tone=Tone.BAD)
    if status.last_audit is None:
        return Cell(value="not audited", tone=Tone.WARNING)
    if status.overdue:
        return Cell(value="audit is late", tone=Tone.WARNING)
    return Cell(value="exact", tone=Tone.GOOD)


def _part_cell(problems: Sequence[Problem], prefixes: tuple[str, ...], *, well: str) -> Cell:
    ours = [problem for problem in problems if problem.id.startswith(prefixes)]
    serious = [problem for problem in ours if problem.severity is Severity.PROBLEM]
    if serious:
        return Cell(value=f"{len(serious)} wrong", tone=Tone.BAD, href="#problems")
    if any(problem.severity is Severity.WARNING for problem in ours):
        return Cell(value="see below", tone=Tone.WARNING, href="#problems")
    return Cell(value=well, tone=Tone.GOOD)


def _index_cell(status: CounterStatus) -> Cell:
    cell = _part_cell(status.problems, (INDEX_PREFIX,), well="valid")
    scans = sum(index.scans for index in status.indexes)
    note = f"{show_number(scans)} scans of {show_number(len(status.indexes))}"
    return Cell(value=cell.value, tone=cell.tone, href=cell.href, note=note)


def problems_shown(status: StatusReport) -> list[tuple[Problem, Tone]]:
    """Return what is wrong and what is worth knowing, the serious first."""
    found = dict.fromkeys(
        problem
        for problems in (*(counter.problems for counter in status.counters), status.problems)
        for problem in problems
    )
    tones = {Severity.PROBLEM: Tone.BAD, Severity.WARNING: Tone.WARNING}
    order = list(Severity)
    return [
        (problem, tones.get(problem.severity, Tone.NEUTRAL))
        for problem in sorted(found, key=lambda problem: order.index(problem.severity))
    ]
