"""Proof: what is stored beside what is true, in one snapshot, read-only."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg.sql import Literal

from sentinel.counters.health import inspect_health
from sentinel.counters.problems import Problem, serious_ones
from sentinel.counters.statements import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from psycopg.sql import Composable

    from sentinel.counters.binding import BoundCounter, Key

DEFAULT_SAMPLE = 10  # enough to see a pattern, short enough to read


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A row whose counter, or one of its mirrors, is not what it should be.

    Attributes:
        counter: the counter's name, `table.column`.
        key: the row's key as JSON has it: a number, a text, or a list of several columns.
        stored: the counter's value; None where the column holds NULL.
        actual: what it should be, by the rows themselves.
        mirrors: the value of each mirror by its column.
    """

    counter: str
    key: Key
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
        problems: what is wrong with what keeps the counter, and what is worth knowing about it.
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
    def serious_problems(self) -> tuple[Problem, ...]:
        """Those that would let the counter drift."""
        return serious_ones(self.problems)

    @property
    def exact(self) -> bool:
        """Whether every row is right, and nothing would let the counter drift."""
        return not self.rows_in_drift and not self.serious_problems


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
    counter: BoundCounter,
    *,
    among: Composable | None = None,
    sample: int = DEFAULT_SAMPLE,
    using: str = DEFAULT_DB_ALIAS,
) -> CounterReport:
    """Audit one counter, or the rows of it whose keys are `among` some. See `audit_counters`."""
    started = perf_counter()
    query = render(
        "audit",
        "summarise",
        comparison=counter.comparison(among),
        differs=render("audit", "differs"),
        sample=Literal(sample),
    )
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(query.as_string(None))
        rows = cursor.fetchall()
        problems = inspect_health(counter, using=using)
    checked, in_drift, largest, summed = rows[0][:4]
    drifts = tuple(
        read_drift(counter, key, stored, actual)
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


def read_drift(counter: BoundCounter, key: str, stored: Sequence[int | None], actual: int) -> Drift:
    """Return a row in drift from what a query returns of it.

    Args:
        counter: whose row it is.
        key: the key as JSON text.
        stored: the counter, then its mirrors.
        actual: what all of them should be.
    """
    return Drift(
        counter=counter.name,
        key=json.loads(key),
        stored=stored[0],
        actual=actual,
        mirrors=dict(zip(counter.mirrors, stored[1:], strict=True)),
    )
