"""The first 24 hours: drift and usage, looked at again and again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError

from sentinel.counters import audit_counters, declared_counters
from sentinel.deployment.checklists import rolled_back
from sentinel.deployment.findings import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was seen at one moment.

    Attributes:
        at: when.
        rows: rows that were compared.
        drift: rows in drift, for each counter.
        problems: ids of what would let a counter drift.
        features: how many features were used this month.
        users: by how many users, each feature's added up.
        uses: how often.
        error: why nothing could be seen; the rest is empty then.
    """

    at: datetime
    rows: int = 0
    drift: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    features: int = 0
    users: int = 0
    uses: int = 0
    error: str = ""

    @property
    def exact(self) -> bool:
        """Whether it was seen that all counters are exact."""
        return not (self.error or self.problems or any(self.drift.values()))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What all readings say together.

    Attributes:
        readings: how many.
        seconds: between the first and the last.
        in_drift: readings that found drift, or a problem.
        worst: the most rows in drift at once.
        errors: readings at which nothing could be seen.
        uses_added: how much was used meanwhile; it starts again with a new month.
    """

    readings: int
    seconds: float
    in_drift: int
    worst: int
    errors: int
    uses_added: int

    @property
    def ok(self) -> bool:
        """Whether every reading could be taken, and was exact."""
        return not (self.in_drift or self.errors)


def take_reading(deployment: Deployment) -> Reading:
    """Audit every counter and look at this month's usage. Nothing that it does stays."""
    try:
        with rolled_back(using=deployment.using, read_only=True):
            reports = list(audit_counters(declared_counters(), sample=0, using=deployment.using))
            growth = deployment.rows("after", "usage_growth")
    except (DatabaseError, InterfaceError) as error:
        return Reading(at=deployment.now, error=str(error).strip().splitlines()[0])
    return Reading(
        at=deployment.now,
        rows=sum(report.rows_checked for report in reports),
        drift={report.counter: report.rows_in_drift for report in reports},
        problems=tuple(dict.fromkeys(p.id for report in reports for p in report.serious_problems)),
        features=len(growth),
        users=sum(users for _, users, _ in growth),
        uses=sum(int(uses) for _, _, uses in growth),
    )


def watch_deployment(
    *,
    every: timedelta,
    duration: timedelta,
    clock: Callable[[], datetime],
    sleep: Callable[[float], object],
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[Reading]:
    """Take a reading at once, then one at each interval until the duration is over.

    A reading that cannot be taken says why, and the next one is tried all the same: a server may
    be restarted in a day. A reading that takes longer than the interval puts the next one off.

    Args:
        every: the interval.
        duration: how long altogether.
        clock: tells the time.
        sleep: waits for so many seconds.
        using: the database's alias.
    """
    begun = due = clock()
    while True:
        yield take_reading(Deployment(now=clock(), using=using))
        due = max(due + every, clock())
        if due - begun > duration:
            return
        sleep(max(0.0, (due - clock()).total_seconds()))


def summarise_readings(readings: Sequence[Reading]) -> Summary:
    """Sum up. Of no reading at all there is nothing to say, and that is not well."""
    seen = [reading for reading in readings if not reading.error]
    return Summary(
        readings=len(readings),
        seconds=(readings[-1].at - readings[0].at).total_seconds() if readings else 0.0,
        in_drift=sum(not reading.exact for reading in seen),
        worst=max((sum(reading.drift.values()) for reading in seen), default=0),
        errors=len(readings) - len(seen),
        uses_added=seen[-1].uses - seen[0].uses if seen else 0,
    )
