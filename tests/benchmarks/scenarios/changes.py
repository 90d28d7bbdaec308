"""Moves, updates and deletes of many messages in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.sql import SQL

from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import COUNTER, PLAIN, SENTINEL, fill_threads, tidy

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.measuring import Way
    from tests.benchmarks.peers import Peer

PEERS = (PLAIN, COUNTER, SENTINEL)
FIRST, SECOND, DELETED = 1, 2, 3  # threads
# All messages of the one thread go to the other, and back at the next round.
MOVE = f"""
UPDATE chat_messages SET thread_id = {FIRST + SECOND} - thread_id
 WHERE thread_id IN ({FIRST}, {SECOND})
"""
CHANGE_TEXT = f"""
UPDATE chat_messages SET content = reverse(content) WHERE thread_id IN ({FIRST}, {SECOND})
"""
DELETE = f"DELETE FROM chat_threads WHERE id = {DELETED}"


def measure(bench: Bench) -> None:
    """Move, change and delete."""
    sizes = bench.sizes
    with bench.database.connect() as connection:
        bench.create(connection, *PEERS)
        for peer in PEERS:
            fill_threads(connection, peer, first=FIRST, messages=sizes.changed_rows)
            fill_threads(connection, peer, first=SECOND, messages=0)
        bench.compare("move", {p.name: _timed(bench, connection, p, MOVE) for p in PEERS})
        bench.compare(
            "update of text", {p.name: _timed(bench, connection, p, CHANGE_TEXT) for p in PEERS}
        )
        bench.compare(
            "delete of a thread",
            {p.name: _delete(bench, connection, p) for p in PEERS},
        )
        bench.check(connection, "changes", *PEERS)


def _timed(bench: Bench, connection: Connection, peer: Peer, statement: str) -> Way:
    writer = bench.connection_to(peer)

    def way() -> float:
        tidy(connection, peer)
        return milliseconds(lambda: writer.execute(SQL(statement)))

    return way


def _delete(bench: Bench, connection: Connection, peer: Peer) -> Way:
    delete = _timed(bench, connection, peer, DELETE)

    def way() -> float:
        fill_threads(connection, peer, first=DELETED, messages=bench.sizes.deleted_rows)
        return delete()

    return way
