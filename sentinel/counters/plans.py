"""A plan as `EXPLAIN (ANALYZE, FORMAT JSON)` describes it, brought down to a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.sql import Composable

EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a query was run.

    Attributes:
        node: the nodes from the top to the one that reads, such as `Aggregate, Index Only Scan`.
        indexes: those that it used.
        rows: how many rows were taken from tables.
        buffers: pages of 8 kB that were looked at.
        milliseconds: how long the server ran it, planning apart.
    """

    node: str
    indexes: tuple[str, ...]
    rows: int
    buffers: int
    milliseconds: float

    @property
    def uses_an_index(self) -> bool:
        """Whether the rows were found by an index."""
        return bool(self.indexes)


def explain_query(query: Composable, *, using: str) -> Plan:
    """Run a query and return its plan.

    It runs twice and the second run counts: by then what it reads is in memory, as it is for
    queries that come all the time.
    """
    with connections[using].cursor() as cursor:
        for _ in range(2):
            cursor.execute(EXPLAIN + query.as_string(None))
            [(document,)] = cursor.fetchall()
    [explained] = json.loads(document) if isinstance(document, str) else document
    top = explained["Plan"]
    nodes = list(_walk(top))
    scans = [node for node in nodes if "Relation Name" in node]
    return Plan(
        node=", ".join(node["Node Type"] for node in nodes),
        indexes=tuple(node["Index Name"] for node in nodes if "Index Name" in node),
        rows=round(sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans)),
        buffers=top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        milliseconds=explained["Execution Time"],
    )


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _walk(below)
