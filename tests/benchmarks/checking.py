"""Whether a peer's numbers are right at the end: who drifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.sql import SQL, Identifier

from sentinel.counters.statements import named_queries
from tests.benchmarks.peers import FOLDER

if TYPE_CHECKING:
    from tests.benchmarks.database import Connection
    from tests.benchmarks.peers import Peer


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What is wrong after some work.

    Attributes:
        work: the scenario.
        peer: the peer's name.
        rows: threads, itineraries or months whose number is not the true one.
        largest: the largest difference.
        ours: whether Sentinel keeps it.
    """

    work: str
    peer: str
    rows: int
    largest: int
    ours: bool


def find_thread_drift(connection: Connection, peer: Peer, *, work: str) -> Drift:
    """Count the messages of each thread and compare. A peer without a column cannot drift."""
    rows = largest = 0
    if peer.column is not None:
        query = SQL(named_queries("peers", FOLDER)["count_drift"]).format(
            schema=Identifier(peer.schema), column=Identifier(peer.column)
        )
        [(rows, largest)] = connection.execute(query).fetchall()
    return Drift(work=work, peer=peer.name, rows=rows, largest=largest, ours=peer.ours)


def find_itinerary_drift(connection: Connection, schema: str, *, work: str) -> Drift:
    """Count the waypoints of each itinerary in a schema and compare."""
    query = SQL(named_queries("peers", FOLDER)["count_itinerary_drift"]).format(
        schema=Identifier(schema)
    )
    [(rows, largest)] = connection.execute(query).fetchall()
    ours = schema == "public"
    return Drift(
        work=work, peer="sentinel" if ours else schema, rows=rows, largest=largest, ours=ours
    )


def find_usage_drift(connection: Connection, *, work: str) -> Drift:
    """Sum the events of each month and compare."""
    query = named_queries("peers", FOLDER)["count_usage_drift"]
    [(rows, largest)] = connection.execute(query).fetchall()
    return Drift(work=work, peer="sentinel", rows=rows, largest=largest, ours=True)
