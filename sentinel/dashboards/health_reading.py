"""What the page of the counters' health shows. It counts no rows: it reads what was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import TruncDate

from sentinel.counters.models import CounterAudit, CounterRepairRun
from sentinel.counters.status import StatusReport, report_status
from sentinel.dashboards.job_models import CounterJob
from usage.archiving.models import ArchiveRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HISTORY_DAYS = 90  # as long as records are kept, where nobody has said otherwise
SHOWN = 8  # of the newest audits, repairs and runs; the rest is a click away


@dataclass(frozen=True, kw_only=True)
class HealthDay:
    """What audits found and repairs did on one day, in UTC.

    Attributes:
        day: which.
        audits: audits of single counters.
        inexact: those of them that did not find everything in order.
        rows_in_drift: the most that an audit of the day found, added up over the counters.
        rows_repaired: by runs that began on the day.
    """

    day: date
    audits: int = 0
    inexact: int = 0
    rows_in_drift: int = 0
    rows_repaired: int = 0

    @property
    def eventful(self) -> bool:
        """Whether somebody may want to read of it."""
        return bool(self.inexact or self.rows_in_drift or self.rows_repaired)


@dataclass(frozen=True, kw_only=True)
class HealthReport:
    """How the counters are, and how they were.

    Attributes:
        status: see `report_status`.
        days: the last `HISTORY_DAYS`, the oldest first, without gaps.
        audits: the newest.
        repair_runs: the newest.
        archive_runs: the newest.
        jobs: the newest that were asked for on the page.
    """

    status: StatusReport
    days: tuple[HealthDay, ...]
    audits: tuple[CounterAudit, ...]
    repair_runs: tuple[CounterRepairRun, ...]
    archive_runs: tuple[ArchiveRun, ...]
    jobs: tuple[CounterJob, ...]


def read_health(*, now: datetime) -> HealthReport:
    """Return how the counters are, in a number of queries that no table makes larger."""
    return HealthReport(
        status=report_status(now=now),
        days=read_history(now=now),
        audits=tuple(CounterAudit.objects.all()[:SHOWN]),
        repair_runs=tuple(CounterRepairRun.objects.all()[:SHOWN]),
        archive_runs=tuple(ArchiveRun.objects.all()[:SHOWN]),
        jobs=tuple(CounterJob.objects.all()[:SHOWN]),
    )


def read_history(*, now: datetime, days: int = HISTORY_DAYS) -> tuple[HealthDay, ...]:
    """Return what was found and done on each of the last days, today the last of them."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    since = datetime.combine(first, time(), UTC)
    audits = (
        CounterAudit.objects.filter(audited_at__gte=since)
        .order_by()
        .values("counter", day=TruncDate("audited_at", tzinfo=UTC))
        .annotate(
            audits=Count("id"),
            inexact=Count("id", filter=Q(exact=False)),
            rows_in_drift=Max("rows_in_drift"),
        )
    )
    repairs = (
        CounterRepairRun.objects.filter(started_at__gte=since)
        .order_by()
        .values(day=TruncDate("started_at", tzinfo=UTC))
        .annotate(rows_repaired=Sum("rows_repaired"))
    )
    found = _add_up(chain(audits, repairs))
    return tuple(
        HealthDay(day=day, **found.get(day, {}))
        for day in (first + timedelta(days=number) for number in range(days))
    )


def _add_up(rows: Iterable[Mapping[str, Any]]) -> dict[date, dict[str, int]]:
    days: dict[date, dict[str, int]] = {}
    for row in rows:
        totals = days.setdefault(row["day"], {})
        for name in row.keys() - {"day", "counter"}:
            totals[name] = totals.get(name, 0) + row[name]
    return days
