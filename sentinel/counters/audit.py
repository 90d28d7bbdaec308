"""Proof: what is stored beside what is true, in one snapshot, read-only."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg.sql import Literal

from sentinel.counters.health import Problem, find_problems
from sentinel.counters.statements import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sentinel.counters.binding import BoundCounter

DEFAULT_SAMPLE = 10  # enough to see a pattern, short enough to read


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A row whose counter, or one of its mirrors, is not what it should be.

    Attributes:
        counter: the counter's name, `table.column`.
        key: the row's key.
        stored: the counter's value; None where the column holds NULL.
        actual: what it should be, by the rows themselves.
        mirrors: the value of each mirror by its column.
    """

    counter: str
    key: Any
    stored: int | None
    actual: int
    mirrors: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CounterReport:
    """What the audit of one counter found.

    Attributes:
        counter: the counter's name.
        rows_checked: rows of the parent.
        rows_in_drift: rows of which the counter or a mirror is wrong.
        largest_drift: the largest difference of a column from the truth; NULL counts as 0.
        summed_drift: the sum of these differences, one a row (its largest).
        seconds: how long it took.
        sample: the rows that are furthest off.
        problems: what is wrong with the triggers that keep the counter.
    """

    counter: str
    rows_checked: int
    rows_in_drift: int
    largest_drift: int
    summed_drift: int
    seconds: float
    sample: tuple[Drift, ...]
    problems: tuple[Problem, ...]

    @property
    def exact(self) -> bool:
        """Whether every row is right and every trigger in place."""
        return not self.rows_in_drift and not self.problems


def audit_counters(
    counters: Sequence[BoundCounter],
    *,
    sample: int = DEFAULT_SAMPLE,
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[CounterReport]:
    """Audit counters one after the other, each in a read-only transaction of its own.

    Args:
        counters: see `declared_counters` and `find_counters`.
        sample: how many drifting rows to return at most for each counter.
        using: the database's alias.

    Raises:
        OperationalError, ProgrammingError: the database cannot be reached, or a table or column
            is not there.
    """
    for counter in counters:
        yield audit_counter(counter, sample=sample, using=using)


def audit_counter(
    counter: BoundCounter, *, sample: int = DEFAULT_SAMPLE, using: str = DEFAULT_DB_ALIAS
) -> CounterReport:
    """Audit one counter. See `audit_counters`."""
    started = perf_counter()
    query = render("audit", "summarise", comparison=counter.comparison(), sample=Literal(sample))
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(query.as_string(None))
        rows = cursor.fetchall()
        problems = find_problems(counter, using=using)
    checked, in_drift, largest, summed = rows[0][:4]
    drifts = tuple(
        Drift(
            counter=counter.name,
            key=key,
            stored=stored[0],
            actual=actual,
            mirrors=dict(zip(counter.mirrors, stored[1:], strict=True)),
        )
        for *_, drifts, key, stored, actual in rows
        if drifts
    )
    return CounterReport(
        counter=counter.name,
        rows_checked=checked,
        rows_in_drift=in_drift,
        largest_drift=int(largest),
        summed_drift=int(summed),
        seconds=perf_counter() - started,
        sample=drifts,
        problems=tuple(problems),
    )
