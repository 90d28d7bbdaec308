"""An import of events against a bare COPY into a table with the same indexes."""

from __future__ import annotations

import json
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from sentinel.imports import import_records, open_source
from tests.benchmarks.checking import find_usage_drift
from tests.benchmarks.peers import SENTINEL
from usage.importing import USAGE_EVENTS

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection

FEATURES = ("chat_export_pdf", "briefing_packages", "map_export", "saved_searches")
EVENTS_OF_A_USER = 100
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 60 * 24 * 180  # six months
PER_SECOND = "events/s"


def measure(bench: Bench) -> None:
    """Load the same events in both ways."""
    events = _events(bench.sizes.imported_events)
    with (
        tempfile.TemporaryDirectory() as folder,
        bench.database.connect() as connection,
    ):
        file = Path(folder) / "events.jsonl"
        file.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
        bench.compare(
            "import",
            {
                "copy": lambda: len(events) / _copy(connection, events),
                "import": lambda: len(events) / _import(bench, connection, file),
            },
            unit=PER_SECOND,
            rounds=min(bench.sizes.rounds, 3),
            warm_up=False,
        )
        bench.drifts.append(find_usage_drift(connection, work="import"))


def _events(number: int) -> list[dict[str, object]]:
    chance = random.Random(10)
    return [
        {
            "key": f"event {n}",
            "user": f"user{n // EVENTS_OF_A_USER}@example.org",
            "feature": chance.choice(FEATURES),
            "quantity": 1,
            "occurred_at": (FIRST_DAY + timedelta(minutes=chance.randrange(MINUTES))).isoformat(),
        }
        for n in range(number)
    ]


def _import(bench: Bench, connection: Connection, file: Path) -> float:
    """Return the seconds of an import into an empty ledger, its users among the new rows."""
    bench.create(connection, SENTINEL)
    started = perf_counter()
    with open_source(str(file)) as source:
        import_records(USAGE_EVENTS, source)
    return perf_counter() - started


def _copy(connection: Connection, events: list[dict[str, object]]) -> float:
    """Return the seconds of a COPY of the same events, without users, sums and keys to look up."""
    connection.execute("DROP SCHEMA IF EXISTS copied CASCADE")
    connection.execute("CREATE SCHEMA copied")
    connection.execute(
        "CREATE TABLE copied.feature_usage_events (LIKE public.feature_usage_events INCLUDING ALL)"
    )
    rows = "".join(
        f"{n // EVENTS_OF_A_USER}\t{e['feature']}\t1\t{e['occurred_at']}\t{e['key']}\timport\n"
        for n, e in enumerate(events)
    )
    columns = "user_id, feature, quantity, occurred_at, idempotency_key, source"
    started = perf_counter()
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY copied.feature_usage_events ({columns}) FROM STDIN") as copy,
    ):
        copy.write(rows)
    return perf_counter() - started
