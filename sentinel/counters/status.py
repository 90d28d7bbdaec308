"""How the counters are: when each was last proved, by what it is kept, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from pgtrigger import features

from sentinel.counters.catalog import Catalog, IndexState, read_catalog
from sentinel.counters.health import inspect_health
from sentinel.counters.index_health import relevant_indexes
from sentinel.counters.models import CounterAudit
from sentinel.counters.problems import Problem, serious_ones
from sentinel.counters.registry import counter_triggers, declared_counters
from sentinel.counters.statements import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sentinel.counters.binding import BoundCounter

DEFAULT_MAX_AGE = timedelta(hours=26)  # an audit each night, and two hours for it to be late


class Updates(NamedTuple):
    """How often rows of a table were updated since the statistics were last reset.

    Attributes:
        all: updates.
        hot: those that made no new entry in any index. A counter that stands in an index costs one
            at every change.
    """

    all: int
    hot: int

    @property
    def hot_ratio(self) -> float | None:
        """The share of the cheap updates, 0 to 1; None where there was none."""
        return self.hot / self.all if self.all else None


@dataclass(frozen=True, kw_only=True)
class CounterStatus:
    """How one counter is.

    Attributes:
        counter: the counter's name.
        last_audit: what the last recorded audit found; None where there was none.
        age: how long ago that was.
        overdue: whether it was too long ago, or never.
        problems: see `inspect_health`.
        updates: of the parent's rows.
        indexes: those that readers and recounts may use, with their scans.
    """

    counter: str
    last_audit: CounterAudit | None
    age: timedelta | None
    overdue: bool
    problems: tuple[Problem, ...]
    updates: Updates
    indexes: tuple[IndexState, ...]

    @property
    def rows_in_drift(self) -> int | None:
        """Rows that the last audit found wrong; None where there was none."""
        return self.last_audit.rows_in_drift if self.last_audit else None

    @property
    def serious_problems(self) -> tuple[Problem, ...]:
        """Those that would let the counter drift."""
        return serious_ones(self.problems)

    @property
    def ok(self) -> bool:
        """Whether it was proved in time, was exact, and nothing would let it drift."""
        return not (self.overdue or self.rows_in_drift or self.serious_problems)


class Figure(NamedTuple):
    """A number that is reported beside those of the counters.

    Attributes:
        name: of the Prometheus metric, with its unit, such as `sentinel_archive_rows`.
        help: what it is, in a sentence.
        value: the number.
    """

    name: str
    help: str
    value: float


@dataclass(frozen=True, kw_only=True)
class StatusLine:
    """What another app has to say: see `add_status_line`.

    Attributes:
        name: what it is about.
        ok: whether all is well.
        message: how it is, in a sentence.
        figures: its numbers, for Prometheus.
    """

    name: str
    ok: bool
    message: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """How everything is.

    Attributes:
        now: when it was asked.
        counters: by name.
        lines: what other apps say.
        problems: those that belong to no counter, such as functions left behind.
    """

    now: datetime
    counters: tuple[CounterStatus, ...]
    lines: tuple[StatusLine, ...]
    problems: tuple[Problem, ...]

    @property
    def oldest_age(self) -> timedelta | None:
        """The age of the audit that is longest ago; None where a counter has none."""
        ages = [status.age for status in self.counters if status.age is not None]
        return max(ages) if ages and len(ages) == len(self.counters) else None

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return (
            all(status.ok for status in self.counters)
            and all(line.ok for line in self.lines)
            and not serious_ones(self.problems)
        )


_lines: list[Callable[[datetime], StatusLine]] = []


def add_status_line(line: Callable[[datetime], StatusLine]) -> None:
    """Have the status report a line of another app, from that app's `ready`.

    Args:
        line: is called at every report, with the time of it.
    """
    _lines.append(line)


def report_status(
    *,
    now: datetime,
    max_age: timedelta = DEFAULT_MAX_AGE,
    using: str = DEFAULT_DB_ALIAS,
) -> StatusReport:
    """Report how the counters are. Counts nothing: what is said of drift, the last audit found.

    Args:
        now: the time.
        max_age: how old the last audit of a counter may be.
        using: the database's alias.
    """
    counters = declared_counters()
    tables = {model._meta.db_table for model, _ in counter_triggers()}
    records = CounterAudit._meta.db_table
    catalog = read_catalog({*tables, records}, using=using)
    updates = _read_updates(tables, using=using)
    audits = _last_audits(using=using) if records in catalog.columns else {}
    statuses = tuple(
        _counter_status(
            counter,
            audit=audits.get(counter.name),
            now=now,
            max_age=max_age,
            catalog=catalog,
            updates=updates,
            using=using,
        )
        for counter in counters
    )
    theirs = {problem for status in statuses for problem in status.problems}
    return StatusReport(
        now=now,
        counters=statuses,
        lines=tuple(line(now) for line in _lines),
        problems=tuple(p for p in inspect_health(using=using) if p not in theirs),
    )


def _counter_status(
    counter: BoundCounter,
    *,
    audit: CounterAudit | None,
    now: datetime,
    max_age: timedelta,
    catalog: Catalog,
    updates: dict[str, Updates],
    using: str,
) -> CounterStatus:
    age = now - audit.audited_at if audit else None
    return CounterStatus(
        counter=counter.name,
        last_audit=audit,
        age=age,
        overdue=age is None or age > max_age,
        problems=tuple(inspect_health(counter, using=using)),
        updates=updates.get(counter.parent._meta.db_table, Updates(0, 0)),
        indexes=tuple(relevant_indexes(counter, catalog)),
    )


def _last_audits(*, using: str) -> dict[str, CounterAudit]:
    newest = CounterAudit.objects.using(using).order_by("counter", "-audited_at")
    return {audit.counter: audit for audit in newest.distinct("counter")}


def _read_updates(tables: set[str], *, using: str) -> dict[str, Updates]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            named_queries("health")["updates"],
            {"schema": features.schema(), "tables": list(tables)},
        )
        return {table: Updates(every, hot) for table, every, hot in cursor.fetchall()}
