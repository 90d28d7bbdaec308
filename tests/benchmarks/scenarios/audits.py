"""The audit against a bare GROUP BY, and its memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

from sentinel.counters import audit_counter, find_counters
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import MESSAGES_COUNT, SENTINEL, fill_threads, tidy

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection

# What anybody would write who only wants to know the counts.
GROUP_BY = "SELECT thread_id, count(*) FROM public.chat_messages GROUP BY thread_id"
ONLY_COUNTED = f"SELECT count(*), sum(count) FROM ({GROUP_BY}) AS counted"


def measure(bench: Bench) -> None:
    """Audit many threads."""
    sizes = bench.sizes
    [counter] = find_counters([MESSAGES_COUNT])
    with bench.database.connect() as connection:
        _fill(bench, connection, threads=max(1, sizes.audited_threads // 10))
        tenth = _peak(lambda: audit_counter(counter))
        _fill(bench, connection, threads=sizes.audited_threads)
        bench.keep("audit, memory", "tenth", tenth, unit="bytes")
        bench.keep("audit, memory", "all", _peak(lambda: audit_counter(counter)), unit="bytes")
        bench.compare(
            "audit",
            {
                "group_by": lambda: milliseconds(lambda: connection.execute(ONLY_COUNTED)),
                "audit": lambda: milliseconds(lambda: audit_counter(counter)),
            },
        )
        bench.check(connection, "audit", SENTINEL)


def _fill(bench: Bench, connection: Connection, *, threads: int) -> None:
    bench.create(connection, SENTINEL)
    fill_threads(connection, SENTINEL, threads=threads, messages=bench.sizes.audited_each)
    tidy(connection, SENTINEL)


def _peak(work: object) -> float:
    """Return the most memory that Python had at once, in bytes."""
    assert callable(work)
    work()  # what is loaded once is no memory of the audit
    tracemalloc.start()
    try:
        work()
        return float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
