"""Inserts by one client: one message, and many in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL

from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import (
    COUNTER,
    CTE,
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

LENGTHS = ("100", "1,000", "10,000")
ONE = {CTE: "insert_one_cte", F_EXPRESSION: "insert_one_f_expression"}


def measure(bench: Bench) -> None:
    """Insert one by one, and many at once."""
    with bench.database.connect() as connection:
        _insert_one(bench, connection)
        _insert_beside_legacy(bench, connection)
        _insert_many(bench, connection)


def _insert_one(bench: Bench, connection: Connection) -> None:
    peers = (PLAIN, COUNTER, LOCK_FIRST, SENTINEL, CTE, F_EXPRESSION, ROW_TRIGGERS)
    bench.create(connection, *peers)
    for peer in peers:
        fill_threads(connection, peer, messages=100)
    bench.compare("insert one", {peer.name: _one(bench, connection, peer, 1) for peer in peers})
    bench.check(connection, "insert one", *peers)


def _insert_beside_legacy(bench: Bench, connection: Connection) -> None:
    """The legacy trigger counts the thread at every message, so its length matters."""
    bench.create(connection, SENTINEL, LEGACY)
    ways = {}
    for thread, (word, length) in enumerate(
        zip(LENGTHS, bench.sizes.legacy_lengths, strict=True), start=1
    ):
        for peer in (SENTINEL, LEGACY):
            fill_threads(connection, peer, first=thread, messages=length)
            # A thread grows by what is inserted: few at a time keep it near its length.
            ways[f"{peer.name}, {word}"] = _one(
                bench, connection, peer, thread, transactions=min(bench.sizes.transactions, 100)
            )
    bench.compare("insert one, legacy", ways)
    bench.check(connection, "insert one, legacy", SENTINEL, LEGACY)


def _one(
    bench: Bench,
    connection: Connection,
    peer: Peer,
    thread: int,
    *,
    transactions: int | None = None,
) -> Way:
    def way() -> float:
        tidy(connection, peer)
        return run_pgbench(
            bench.database,
            ONE.get(peer, "insert_one"),
            schema=peer.schema,
            transactions=transactions or bench.sizes.transactions,
            thread=thread,
        ).milliseconds

    return way


def _insert_many(bench: Bench, connection: Connection) -> None:
    sizes = bench.sizes
    peers = (PLAIN, COUNTER, SENTINEL, ROW_TRIGGERS)
    bench.create(connection, *peers)
    for peer in peers:
        fill_threads(connection, peer, threads=sizes.few_rows, messages=2)
    for work, rows, thread in (
        ("insert few", sizes.few_rows, "1"),
        ("insert spread", sizes.few_rows, "n"),
    ):
        ways = {peer.name: _many(bench, connection, peer, rows, thread) for peer in peers}
        bench.compare(work, ways)
    fast = (PLAIN, COUNTER, SENTINEL)
    bench.compare(
        "insert many",
        {peer.name: _many(bench, connection, peer, sizes.many_rows, "2") for peer in fast},
    )
    bench.compare(
        "insert many, slow",
        {
            p.name: _many(bench, connection, p, sizes.many_rows, "2")
            for p in (COUNTER, ROW_TRIGGERS)
        },
        rounds=sizes.slow_rounds,
        warm_up=False,
    )
    bench.check(connection, "insert many", *peers)


def _many(bench: Bench, connection: Connection, peer: Peer, rows: int, thread: str) -> Way:
    writer = bench.connection_to(peer)
    statement = SQL(
        "INSERT INTO chat_messages (thread_id, role, content)"
        f" SELECT {thread}, 'user', 'Then we leave at noon.' FROM generate_series(1, {rows}) AS n"
    )

    def way() -> float:
        tidy(connection, peer)
        return milliseconds(lambda: writer.execute(statement))

    return way
