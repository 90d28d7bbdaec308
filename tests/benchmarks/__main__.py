"""`make bench`: limit checks and inserts, with the counter and without, side by side.

Both ways of each line are measured in turns within one run on one server; only their ratio means
anything. `synchronous_commit` is off for all alike: a disk's wait would hide what is compared.
"""

from __future__ import annotations

import os
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.db import connection  # noqa: E402 (after the set-up)
from django.test.utils import setup_databases, teardown_databases  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
LENGTHS = (10, 1_000, 100_000)


class Comparison(NamedTuple):
    """Medians of both ways, in milliseconds."""

    work: str
    without: float
    counted: float


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def server_milliseconds(query: str) -> float:
    """Execution time on the server, without the round trip."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}")
        row = cursor.fetchone()
        assert row
        return float(row[0][0]["Execution Time"])


def milliseconds(statement: str) -> float:
    started = perf_counter()
    sql(statement)
    return (perf_counter() - started) * 1000


def compare(
    work: str, measure: Callable[[str], float], *, without: str, counted: str, toggle: bool
) -> Comparison:
    """Measure two statements in turns; with `toggle` the first runs with the triggers off."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for index, statement in enumerate((without, counted)):
            if toggle:
                state = "DISABLE" if index == 0 else "ENABLE"
                sql(f"ALTER TABLE chat_messages {state} TRIGGER USER")
            taken = measure(statement)
            if turn:  # the first turn warms up
                times[index].append(taken)
    return Comparison(work, *(statistics.median(taken) for taken in times))


def prepare() -> dict[int, int]:
    """Make one thread of each length, and return its key by length."""
    sql("INSERT INTO users (email, password_hash) VALUES ('bench@example.org', '')")
    threads = {}
    for length in LENGTHS:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO chat_threads (user_id, title)"
                " SELECT min(id), 'Bench' FROM users RETURNING id"
            )
            row = cursor.fetchone()
            assert row
            threads[length] = row[0]
            cursor.execute(
                "INSERT INTO chat_messages (thread_id, role, content)"
                " SELECT %s, 'user', repeat('words ', 20) FROM generate_series(1, %s)",
                [row[0], length],
            )
    sql("VACUUM ANALYZE chat_threads, chat_messages")
    return threads


def comparisons() -> list[Comparison]:
    sql("SET synchronous_commit = off")
    threads = prepare()
    found = [
        compare(
            f"limit check, thread of {length:,}",
            server_milliseconds,
            without=f"SELECT count(*) FROM chat_messages WHERE thread_id = {thread}",
            counted=f"SELECT thread_messages_count FROM chat_threads WHERE id = {thread}",
            toggle=False,
        )
        for length, thread in threads.items()
    ]
    for rows in (1, 1_000, 100_000):
        insert = (
            "INSERT INTO chat_messages (thread_id, role, content)"
            f" SELECT {threads[10]}, 'user', 'words' FROM generate_series(1, {rows})"
        )
        found.append(
            compare(
                f"one insert of {rows:,}",
                milliseconds,
                without=insert,
                counted=insert,
                toggle=True,
            )
        )
    return found


def main() -> None:
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("work", "without, ms", "with, ms", "with / without"):
            table.add_column(title, justify="left" if title == "work" else "right")
        for work, without, counted in comparisons():
            table.add_row(work, f"{without:.3f}", f"{counted:.3f}", f"{counted / without:.3f}")
        console = Console()
        console.print(table)
        version = connection.cursor().execute("SHOW server_version").fetchone()
        console.print(
            f"PostgreSQL {version[0]}, medians of {ROUNDS} turns. A limit check counts the rows or "
            "reads the counter (time on the server); an insert runs with our triggers off or on "
            "(counter, mirror, the month's usage).",
            highlight=False,
        )
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
