"""Recording and consuming uses, against a bare upsert and against check-then-act."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from django.db import connection as django_connection
from django.db import connections
from django.test.utils import CaptureQueriesContext

from sentinel.counters.statements import named_queries
from tests.benchmarks.checking import find_usage_drift
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import FOLDER, SENTINEL
from usage import consume, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.measuring import Way

FEATURE = "pdf_exports_monthly"  # limited by the month, and by no lifetime
USER = 1
CLIENTS = 8
LIMIT = 10
MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
UPSERT = f"""
INSERT INTO upsert.feature_usage AS month (user_id, feature, usage_count, period_start, period_end)
VALUES ({USER}, '{FEATURE}', 1, {MONTH}, ({MONTH} + interval '1 month - 1 day')::date)
ON CONFLICT (user_id, feature, period_start)
DO UPDATE SET usage_count = month.usage_count + 1, updated_at = now()
RETURNING usage_count
"""
USED = f"""
SELECT coalesce(max(usage_count), 0) FROM upsert.feature_usage
 WHERE user_id = {USER} AND feature = '{FEATURE}' AND period_start = {MONTH}
"""


def measure(bench: Bench) -> None:
    """Use a feature in each way, alone and at once with others."""
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL)
        connection.execute("DROP SCHEMA IF EXISTS upsert CASCADE")
        connection.execute("CREATE SCHEMA upsert")
        with connection.transaction():
            connection.execute("SET LOCAL search_path = upsert, pg_catalog")
            connection.execute(named_queries("peers", FOLDER)["upsert"])
        _set_limit(connection, None)
        _use(bench, connection)
        _count_round_trips(bench)
        _use_at_once(bench, connection)
        bench.drifts.append(find_usage_drift(connection, work="usage"))


def _use(bench: Bench, connection: Connection) -> None:
    number = bench.sizes.uses

    def using(work: Callable[[], object]) -> Way:
        def way() -> float:
            connection.execute("VACUUM public.feature_usage, upsert.feature_usage")
            return milliseconds(work, times=number)

        return way

    bench.compare(
        "use",
        {
            "upsert": using(lambda: _query(UPSERT)),
            "check_then_act": using(_check_then_act),
            "record": using(lambda: record(user_id=USER, feature=FEATURE)),
            "consume": using(lambda: consume(user_id=USER, feature=FEATURE)),
        },
    )


def _count_round_trips(bench: Bench) -> None:
    for name, use in (("record", record), ("consume", consume)):
        with CaptureQueriesContext(django_connection) as trips:
            use(user_id=USER, feature=FEATURE)
        bench.keep("round trips", name, len(trips), unit="round trips")


def _use_at_once(bench: Bench, connection: Connection) -> None:
    """Each client tries as often as the limit is: more than enough to reach it."""
    _set_limit(connection, LIMIT)
    too_many: dict[str, list[float]] = {"consume": [], "check_then_act": []}
    for _ in range(bench.sizes.rounds):
        connection.execute("DELETE FROM public.feature_usage")
        connection.execute("DELETE FROM upsert.feature_usage")
        bench.tell("uses at once")
        for name, use in (
            ("consume", lambda: consume(user_id=USER, feature=FEATURE).admitted),
            ("check_then_act", lambda: _check_then_act(LIMIT)),
        ):
            too_many[name].append(max(0, _admitted(use) - LIMIT))
    for name, numbers in too_many.items():
        bench.keep("admitted too many", name, *numbers, unit="uses")


def _admitted(use: Callable[[], bool]) -> int:
    """Return how many uses all clients together were admitted."""
    together = Barrier(CLIENTS)

    def client(_: int) -> int:
        try:
            django_connection.ensure_connection()
            together.wait()
            return sum(use() for _ in range(LIMIT))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(client, range(CLIENTS)))


def _check_then_act(limit: int = 1_000_000_000) -> bool:
    """What is written when nobody thinks of two requests at once."""
    if _query(USED) >= limit:
        return False
    _query(UPSERT)
    return True


def _query(statement: str) -> int:
    with django_connection.cursor() as cursor:
        cursor.execute(statement)
        [(value,)] = cursor.fetchall()
    return int(value)


def _set_limit(connection: Connection, limit: int | None) -> None:
    connection.execute("DELETE FROM public.feature_limit_overrides")
    connection.execute(
        "INSERT INTO public.feature_limit_overrides (user_id, feature, usage_limit, per, reason)"
        " VALUES (%s, %s, %s, 'month', 'measured')",
        [USER, FEATURE, limit],
    )
