"""Many connections write at random: at the end every counter is exact."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.sql import SQL, Composed

from sentinel.counters import audit_counters, find_counters
from sentinel.counters.guarding import guard_triggers
from tests.concurrency.writers import Writer, connect, write_at_random
from tests.rows import Rows, array, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONNECTIONS = 8
OPERATIONS_EACH = 640  # 5,120 in a run


def assert_exact(rows: Rows, *, seed: int) -> None:
    table = rows.counter.parent._meta.db_table
    counters = [c for c in find_counters([]) if c.parent._meta.db_table == table]
    for report in audit_counters(counters):
        assert report.exact, f"repeat with --seed {seed}: {report}"


@pytest.mark.parametrize(
    "operations", [Writer.PLAIN, Writer.PLAIN + Writer.HEALING], ids=["plain", "healing"]
)
def test_random_writers_leave_no_drift(
    committed_rows: Rows, seed: int, operations: tuple[str, ...]
) -> None:
    done = write_at_random(
        committed_rows,
        seed=seed,
        operations=operations,
        connections=CONNECTIONS,
        each=OPERATIONS_EACH,
    )
    assert_exact(committed_rows, seed=seed)
    assert done["refused by the server"] <= 2, f"no longer an exception: {done}"
    missing = [name for name in operations if not done[name]]
    assert not missing, f"the run never did {missing}: {done}"


def test_without_the_guard_the_same_writers_leave_drift(committed_rows: Rows, seed: int) -> None:
    """Shows that the test above can fail."""
    counter = committed_rows.counter
    guard = next(
        trigger
        for trigger in guard_triggers(counter)
        if trigger.name == f"{counter.field}_guard_update"
    )
    guard.uninstall(counter.parent)
    try:
        write_at_random(
            committed_rows, seed=seed, operations=("count_twice",), connections=2, each=20
        )
        [report] = audit_counters([counter])
        assert report.rows_in_drift > 0
    finally:
        guard.install(counter.parent)


def count_deadlocks(statements: Iterable[Composed]) -> int:
    """Run statements one by one on a connection of their own."""
    deadlocks = 0
    with connect() as connection:
        for statement in statements:
            try:
                connection.execute(statement)
            except psycopg.errors.DeadlockDetected:
                deadlocks += 1
    return deadlocks


def test_inserts_over_many_parents_never_deadlock(committed_rows: Rows, seed: int) -> None:
    """Sixteen clients, twenty rows over fifty parents: each statement locks in key order."""
    rows = committed_rows
    parents = [rows.parent() for _ in range(50)]

    def inserts(client: int) -> Iterator[Composed]:
        chance = random.Random(f"{seed} {client}")
        for _ in range(40):
            yield SQL(
                "INSERT INTO {child} ({foreign_key}, {columns})"
                " SELECT parent, {values} FROM unnest({chosen}) AS parent"
            ).format(**rows.names, chosen=array(chance.choices(parents, k=20)))

    with ThreadPoolExecutor(16) as pool:
        deadlocks = sum(pool.map(count_deadlocks, map(inserts, range(16))))
    assert deadlocks == 0, f"repeat with --seed {seed}"
    assert_exact(rows, seed=seed)


def test_moves_in_opposite_directions_never_deadlock(committed_rows: Rows, seed: int) -> None:
    rows = committed_rows
    one, two = rows.parent(), rows.parent()
    forth, back = rows.children(one, 10), rows.children(two, 10)

    def moves(children: list[int], first: object, second: object) -> Iterator[Composed]:
        for turn in range(60):
            yield SQL("UPDATE {child} SET {foreign_key} = {to} WHERE {id} = ANY ({moved})").format(
                **rows.names, to=literal(first if turn % 2 else second), moved=array(children)
            )

    with ThreadPoolExecutor(2) as pool:
        both = [moves(forth, one, two), moves(back, two, one)]
        assert sum(pool.map(count_deadlocks, both)) == 0
    assert_exact(rows, seed=seed)
