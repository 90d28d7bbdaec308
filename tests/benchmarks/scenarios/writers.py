"""Many clients that write at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers import (
    COUNTER,
    F_EXPRESSION,
    LEGACY,
    LOCK_FIRST,
    PLAIN,
    ROW_TRIGGERS,
    SENTINEL,
    fill_threads,
    tidy,
)
from tests.benchmarks.pgbench import run_pgbench

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.measuring import Way
    from tests.benchmarks.peers import Peer

THREADS = 50
PER_SECOND = "transactions/s"


def measure(bench: Bench) -> None:
    """Insert over the same fifty threads, and into one."""
    with bench.database.connect() as connection:
        _insert_over_fifty(bench, connection)
        _insert_into_one(bench, connection)


def _insert_over_fifty(bench: Bench, connection: Connection) -> None:
    peers = (PLAIN, COUNTER, LOCK_FIRST, SENTINEL, ROW_TRIGGERS)
    bench.create(connection, *peers)
    failed: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for peer in peers:
        fill_threads(connection, peer, threads=THREADS, messages=20)

    def over_fifty(peer: Peer) -> Way:
        def way() -> float:
            tidy(connection, peer)
            run = run_pgbench(
                bench.database,
                "insert_twenty",
                schema=peer.schema,
                clients=bench.sizes.many_clients,
                transactions=bench.sizes.client_transactions,
                seconds=bench.sizes.client_seconds,
                threads=THREADS,
            )
            failed[peer.name].append(run.failed)
            return run.rate

        return way

    fast = (PLAIN, COUNTER, LOCK_FIRST, SENTINEL)
    bench.compare("16 clients", {peer.name: over_fifty(peer) for peer in fast}, unit=PER_SECOND)
    # Apart, and few rounds: its clients do little but wait for the end of their deadlocks.
    bench.compare(
        "16 clients, row triggers",
        {ROW_TRIGGERS.name: over_fifty(ROW_TRIGGERS)},
        unit=PER_SECOND,
        rounds=bench.sizes.slow_rounds,
        warm_up=False,
    )
    for name, numbers in failed.items():
        bench.keep("16 clients, failed", name, sum(numbers), unit="transactions")
    bench.check(connection, "16 clients", *peers)


def _insert_into_one(bench: Bench, connection: Connection) -> None:
    peers = (PLAIN, COUNTER, SENTINEL, F_EXPRESSION, LEGACY)
    bench.create(connection, *peers)

    def into_one(peer: Peer) -> Way:
        fill_threads(connection, peer, messages=100)
        script = "insert_one_f_expression" if peer is F_EXPRESSION else "insert_one"

        def way() -> float:
            tidy(connection, peer)
            return run_pgbench(
                bench.database,
                script,
                schema=peer.schema,
                clients=8,
                transactions=bench.sizes.client_transactions,
                seconds=bench.sizes.client_seconds,
                thread=1,
            ).rate

        return way

    bench.compare("hot thread", {peer.name: into_one(peer) for peer in peers}, unit=PER_SECOND)
    bench.check(connection, "hot thread", *peers)
