"""Writes files to import, and runs the commands that import them."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from django.core.management import CommandError, call_command
from django.db import connection

if TYPE_CHECKING:
    from pathlib import Path


def conversation(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"conversation {number}",
        "user": f"traveller{number}@example.org",
        "title": "A table for two",
        "topic": "restaurants",
        "messages": [
            {"role": "user", "content": "A table for two, please."},
            {"role": "assistant", "content": "At what time?"},
        ],
    } | fields


def itinerary(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"itinerary {number}",
        "user": f"traveller{number}@example.org",
        "title": "San José",
        "data": {"waypoints": [{"name": "San José", "via": "bus"}], "routes": [], "metadata": {}},
    } | fields


def usage_event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "key": f"request {number}",
        "user": f"traveller{number}@example.org",
        "feature": "map_export",
        "quantity": 1,
        "occurred_at": "2026-03-15T12:00:00+00:00",
    } | fields


def without(record: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != field}


def encode(*records: Any) -> bytes:
    """Return JSON Lines. What is bytes already is a line as it stands."""
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return b"".join(line + b"\n" for line in lines)


def write(path: Path, *records: Any) -> Path:
    content = encode(*records)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


@dataclass(frozen=True)
class Run:
    """What a command did. `figures` is its JSON, where it came that far."""

    code: int
    out: str
    err: str

    @property
    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(self.out)
        return figures


def run(command: str, *arguments: object) -> Run:
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command(command, *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as error:
        code = int(str(error.code))
    except CommandError as error:
        code = error.returncode
        err.write(f"{error}\n")
    return Run(code, out.getvalue(), err.getvalue())


def import_threads(*arguments: object) -> Run:
    return run("import_threads", *arguments, "--format", "json")


def import_itineraries(*arguments: object) -> Run:
    return run("import_itineraries", *arguments, "--format", "json")


def import_usage_events(*arguments: object) -> Run:
    return run("import_usage_events", *arguments, "--format", "json")


def query(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def stored_rows() -> tuple[int, ...]:
    """How many users, threads, messages and itineraries there are."""
    [counts] = query(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM chat_threads),"
        " (SELECT count(*) FROM chat_messages), (SELECT count(*) FROM travel_itineraries)"
    )
    return counts
