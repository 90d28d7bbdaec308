"""One run: what it measures, and what it has found."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.benchmarks.checking import find_thread_drift
from tests.benchmarks.database import server_milliseconds
from tests.benchmarks.measuring import Measurement, measure_in_turns
from tests.benchmarks.peers import create_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.benchmarks.checking import Drift
    from tests.benchmarks.database import Connection, Database
    from tests.benchmarks.measuring import Way
    from tests.benchmarks.peers import Peer
    from tests.benchmarks.sizes import Sizes


@dataclass(kw_only=True)
class Bench:
    """What the scenarios are given.

    Attributes:
        database: the one that is measured.
        sizes: how much.
        tell: says what is under way.
        measurements: what was measured so far, by name: `work/way`.
        drifts: how the peers stood at the end of each scenario.
        skipped: what could not be measured, and why.
    """

    database: Database
    sizes: Sizes
    tell: Callable[[str], None]
    measurements: dict[str, Measurement] = field(default_factory=dict)
    drifts: list[Drift] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    _opened: ExitStack = field(default_factory=ExitStack)
    _connections: dict[str, Connection] = field(default_factory=dict)

    def connection_to(self, peer: Peer) -> Connection:
        """Return a connection of this peer's application: it sees the peer's tables alone.

        It stays open, since what a connection reads of a table once is no part of a statement.
        """
        if peer.schema not in self._connections:
            self._connections[peer.schema] = self._opened.enter_context(
                self.database.connect(peer.schema)
            )
        return self._connections[peer.schema]

    def close(self) -> None:
        """Close the connections."""
        self._connections.clear()
        self._opened.close()

    def compare(
        self,
        work: str,
        ways: Mapping[str, Way],
        *,
        unit: str = "ms",
        rounds: int | None = None,
        warm_up: bool = True,
    ) -> None:
        """Measure ways of doing the same in turns, and keep the result as `work/way`."""
        self.tell(work)
        taken = measure_in_turns(
            ways, rounds=rounds or self.sizes.rounds, warm_up=warm_up and self.sizes.warm_up
        )
        for way, values in taken.items():
            self.keep(work, way, *values, unit=unit)

    def keep(self, work: str, way: str, *values: float, unit: str) -> None:
        """Keep a result that was measured otherwise."""
        self.measurements[f"{work}/{way}"] = Measurement(unit=unit, values=values)

    def server_way(self, connection: Connection, query: str) -> Way:
        """Return a way: the median execution time of a query on the server."""
        return lambda: statistics.median(
            server_milliseconds(connection, query) for _ in range(self.sizes.executions)
        )

    def create(self, connection: Connection, *peers: Peer) -> None:
        """Make the tables of some peers anew."""
        for peer in peers:
            create_peer(connection, peer)

    def check(self, connection: Connection, work: str, *peers: Peer) -> None:
        """Keep which of the peers have drifted."""
        self.drifts += [find_thread_drift(connection, peer, work=work) for peer in peers]
