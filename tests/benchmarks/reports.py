"""`python -m tests.benchmarks.reports`: whether the time of a page grows with the ledger.

It makes 100,000 users with 1,000,000 events, measures the pages, adds nine times as many events,
and measures them again: in one run, on one server. It asserts how many queries a page asks and how
much of the ledger they read, and ends with 1 where a page takes more than 1.2 times as long.
Months, users and plans stay the same, so that nothing grows but the ledger (the sums of the months
stay those of the first events). `--events` makes it smaller.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, date, datetime
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.db import connection, transaction  # noqa: E402 (after the set-up)
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from tests.usage_ledger import (  # noqa: E402
    FEATURES,
    add_users,
    grow_ledger,
    measure_reading,
    run,
)
from usage.reporting import (  # noqa: E402
    find_months,
    iterate_limits,
    iterate_users,
    report_month,
    report_user,
)
from usage.reporting.refreshing import count_days  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)
MONTHS = [
    date(2025, 11, 1),
    date(2025, 12, 1),
    date(2026, 1, 1),
    date(2026, 2, 1),
    date(2026, 3, 1),
]
EVENTS = 1_000_000
GROWTH = 10  # times as many in the end
EVENTS_A_USER = len(MONTHS) * len(FEATURES)
ROUNDS = 15  # and the fastest of them: what others do on the machine only adds to it
MOST_TIME = 1.2  # of the ledger ten times as large, against the smaller one
MOST_READ = 0.03  # of the ledger
MOST_QUERIES = 8
LINES = 1_000  # of an export: a page of it, whoever is near a limit


def pages() -> dict[str, Callable[[], object]]:
    """Return what is measured by its name."""
    [(user,)] = run("SELECT max(id) / 2 + min(id) / 2 FROM users")
    month = MONTHS[-1]
    return {
        "the months": lambda: find_months(now=NOW),
        "the month": lambda: report_month(month=month, now=NOW),
        "the month, PRO": lambda: report_month(month=month, now=NOW, plan="PRO"),
        "the month before": lambda: report_month(month=MONTHS[-2], now=NOW),
        "a user": lambda: report_user(user_id=user, now=NOW),
        f"{LINES:,} users": lambda: list(islice(iterate_users(month=month, now=NOW), LINES)),
        f"{LINES:,} limits": lambda: list(islice(iterate_limits(month=month, now=NOW), LINES)),
    }


def measure(events: int) -> dict[str, float]:
    """Return the time of each page in seconds, and assert what it reads."""
    times = {}
    for name, page in pages().items():
        reading = measure_reading(page)
        assert reading.queries <= MOST_QUERIES, f"{name}: {reading.queries} queries"
        assert reading.events <= MOST_READ * events, f"{name}: {reading.events} events read"
        times[name] = min(seconds(page) for _ in range(ROUNDS))
        tell(
            f"{name:20} {times[name] * 1000:8.1f} ms  {reading.queries} queries, "
            f"{reading.events:,} of {events:,} events and {reading.blocks:,} blocks read"
        )
    return times


def seconds(page: Callable[[], object]) -> float:
    """Return how long a page takes."""
    started = perf_counter()
    page()
    return perf_counter() - started


def grow(times: int, *, summed: bool) -> None:
    """Have each user use each feature so many times more in each month."""
    with transaction.atomic():
        grow_ledger(months=MONTHS, times=times, summed=summed)
    run("VACUUM ANALYZE users, feature_usage, feature_usage_events, feature_usage_refusals")
    run("CHECKPOINT")  # or the writing of all these rows would go on while pages are measured


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201 (a program of its own)


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reports")
    parser.add_argument("--events", type=int, default=EVENTS, help="at the beginning")
    events = parser.parse_args().events
    made = setup_databases(verbosity=0, interactive=False, serialized_aliases=set())
    try:
        with connection.cursor():
            tell(f"PostgreSQL {connection.connection.info.server_version}")
        add_users(events // EVENTS_A_USER)
        grow(1, summed=True)
        for month in MONTHS[-2:]:
            count_days(month, now=NOW)
        small = measure(events)
        grow(GROWTH - 1, summed=False)
        [(found,)] = run("SELECT count(*) FROM feature_usage_events")
        large = measure(found)
    finally:
        teardown_databases(made, verbosity=0)
    slower = {name: large[name] / small[name] for name in small}
    for name, ratio in slower.items():
        tell(f"{name:20} {ratio:5.2f} times")
    return 1 if max(slower.values()) > MOST_TIME else 0


if __name__ == "__main__":
    sys.exit(main())
