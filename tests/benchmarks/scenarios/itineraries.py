"""Itineraries: the derived counter against parsing the document, and a generated column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sentinel.counters.statements import named_queries
from tests.benchmarks.checking import find_itinerary_drift
from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.peers import FOLDER, SENTINEL

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.measuring import Way

LENGTHS = ("shortest", "100", "1,000", "longest")
SCHEMAS = {"sentinel": "public", "generated": "generated", "plain": "uncounted"}
COUNTED = ("public", "generated")
PARSE = """
SELECT CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
            THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END
  FROM public.travel_itineraries WHERE id = {key}
"""
READ = "SELECT destinations_count FROM {schema}.travel_itineraries WHERE id = {key}"


def measure(bench: Bench) -> None:
    """Check limits of short and long itineraries, and save one."""
    with bench.database.connect() as connection:
        bench.create(connection, SENTINEL)
        queries = named_queries("peers", FOLDER)
        for schema in ("generated", "uncounted"):
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            connection.execute(f"CREATE SCHEMA {schema}")
            with connection.transaction():
                connection.execute(f"SET LOCAL search_path = {schema}, pg_catalog")
                connection.execute(queries["itineraries"])
                if schema == "generated":
                    connection.execute(queries["generated"])
        _check(bench, connection)
        _save(bench, connection)
        for schema in COUNTED:
            bench.drifts.append(find_itinerary_drift(connection, schema, work="itineraries"))


def _check(bench: Bench, connection: Connection) -> None:
    ways = {}
    for word, length in zip(LENGTHS, bench.sizes.waypoints, strict=True):
        keys = {schema: _add(connection, schema, length) for schema in COUNTED}
        for way, query in (
            ("parse", PARSE.format(key=keys["public"])),
            ("counter", READ.format(schema="public", key=keys["public"])),
            ("generated", READ.format(schema="generated", key=keys["generated"])),
        ):
            ways[f"{way}, {word}"] = bench.server_way(connection, query)
    connection.execute("VACUUM (ANALYZE) public.travel_itineraries, generated.travel_itineraries")
    bench.compare("itinerary check", ways)


def _save(bench: Bench, connection: Connection) -> None:
    """The existing application writes the whole document at every change."""
    document = _itinerary(bench.sizes.waypoints[1])

    def saving(schema: str) -> Way:
        key = _add(connection, schema, 1)
        update = f"UPDATE {schema}.travel_itineraries SET data = %s WHERE id = %s"

        def way() -> float:
            connection.execute(f"VACUUM {schema}.travel_itineraries")
            return milliseconds(
                lambda: connection.execute(update, [document, key]), times=bench.sizes.uses
            )

        return way

    bench.compare("itinerary save", {way: saving(schema) for way, schema in SCHEMAS.items()})


def _add(connection: Connection, schema: str, waypoints: int) -> int:
    """Add an itinerary and return its key."""
    [(key,)] = connection.execute(
        f"INSERT INTO {schema}.travel_itineraries (user_id, data) VALUES (1, %s) RETURNING id",
        [_itinerary(waypoints)],
    ).fetchall()
    return int(key)


def _itinerary(waypoints: int) -> str:
    """A document as the existing application writes it."""
    return json.dumps(
        {
            "waypoints": [
                {"name": f"Stop {n}", "lat": 52.5 + n / 1e4, "lon": 13.4, "notes": "Noon."}
                for n in range(waypoints)
            ],
            "routes": [],
            "risk_analysis": {},
            "metadata": {"version": 1},
            "alerts_config": {},
        }
    )
