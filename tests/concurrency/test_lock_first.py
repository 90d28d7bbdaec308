"""`lock_first`: an INSERT locks its parents in their order before the foreign key looks at them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest

from sentinel.counters import Counter
from sentinel.counters.triggers import FIRES_FIRST
from tests.concurrency.test_services_at_once import wait_until_blocked
from tests.concurrency.writers import connect
from tests.examples import CHILD_EXAMPLES
from tests.rows import Rows
from threads.models import ChatMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTING = "sentinel.locked_chat_threads_thread_messages_count"
LOCK = "SELECT FROM chat_threads WHERE id = %s FOR NO KEY UPDATE"
# Conflicts with any lock, the foreign key's too.
FREE = "SELECT FROM chat_threads WHERE id = %s FOR UPDATE NOWAIT"
INSERT_INTO_FIRST = """
    INSERT INTO chat_messages (thread_id, role, content)
    SELECT min(id), 'user', '?' FROM chat_threads CROSS JOIN generate_series(1, 2)
"""
INSERT = "INSERT INTO chat_messages (thread_id, role, content) SELECT unnest(%s), 'user', '?'"


class Threads(NamedTuple):
    """Two threads, and how their rows are written. A key is larger than the one before."""

    rows: Rows
    first: int
    second: int


def declared(*, lock_first: bool) -> Counter:
    return Counter(
        column="thread_messages_count",
        foreign_key="thread",
        mirrors=("message_count",),
        touches=("updated_at",),
        lock_first=lock_first,
    )


@pytest.fixture
def threads(committed: None) -> Threads:
    counter = declared(lock_first=False).bind(ChatMessage)
    rows = Rows(counter, CHILD_EXAMPLES[counter.name])
    return Threads(rows, rows.parent(), rows.parent())


@pytest.fixture
def locking(threads: Threads) -> Iterator[None]:
    """The messages' counter as it would be with `lock_first`."""
    triggers = declared(lock_first=True).triggers()
    for trigger in triggers:
        trigger.install(ChatMessage)
    yield
    triggers[0].uninstall(ChatMessage)
    for trigger in declared(lock_first=False).triggers():
        trigger.install(ChatMessage)


def second_is_free_while_the_first_is_waited_for(threads: Threads, *before: str) -> bool:
    """Insert into the second thread and the first one, which somebody else has locked."""
    with (
        connect() as holder,
        connect() as writer,
        connect() as other,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.autocommit = writer.autocommit = False
        for statement in before:
            writer.execute(statement)
        holder.execute(LOCK, [threads.first])
        written = pool.submit(writer.execute, INSERT, [[threads.second, threads.first]])
        try:
            wait_until_blocked(holder)
            other.execute(FREE, [threads.second])
            free = True
        except psycopg.errors.LockNotAvailable:
            free = False
        finally:
            holder.rollback()
            written.result()
            writer.commit()
    return free


def counted(threads: Threads) -> dict[int, int]:
    """The counters of all threads."""
    return dict(threads.rows.sql("SELECT {key}, {column} FROM {parent}"))


def test_the_foreign_key_has_locked_them_already_without_it(threads: Threads) -> None:
    """Shows that the tests below can fail."""
    assert not second_is_free_while_the_first_is_waited_for(threads)
    threads.rows.assert_counts({threads.first: 1, threads.second: 1})


@pytest.mark.parametrize(
    "before",
    [
        (),
        ("INSERT INTO chat_messages (thread_id, role, content) SELECT 1, 'user', '' LIMIT 0",),
        ("SAVEPOINT one", INSERT_INTO_FIRST, "ROLLBACK TO one"),
    ],
    ids=["at the beginning", "behind a statement of no rows", "behind one that was rolled back"],
)
@pytest.mark.usefixtures("locking")
def test_all_parents_are_locked_in_order_before_the_foreign_key_looks_at_them(
    threads: Threads, before: tuple[str, ...]
) -> None:
    assert second_is_free_while_the_first_is_waited_for(threads, *before)
    assert counted(threads) == {threads.first: 1, threads.second: 1}


@pytest.mark.usefixtures("locking")
def test_every_statement_of_a_transaction_locks_its_own_parents(threads: Threads) -> None:
    third = threads.rows.parent()
    before = f"INSERT INTO chat_messages (thread_id, role, content) VALUES ({third}, 'user', '?')"
    assert second_is_free_while_the_first_is_waited_for(threads, before, before)
    assert counted(threads) == {threads.first: 1, threads.second: 1, third: 2}


@pytest.mark.parametrize("value", ["on", "", "off", "anything"])
@pytest.mark.usefixtures("locking")
def test_a_session_that_makes_the_setting_itself_is_counted_all_the_same(
    threads: Threads, value: str
) -> None:
    with connect() as writer:
        writer.execute("SELECT set_config(%s, %s, false)", [SETTING, value])
        for _ in range(2):
            writer.execute(INSERT, [[threads.second, threads.first, threads.second]])
    assert counted(threads) == {threads.first: 2, threads.second: 4}


@pytest.mark.usefixtures("locking")
def test_its_trigger_fires_before_those_of_the_foreign_key(threads: Threads) -> None:
    fired = threads.rows.sql(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'chat_messages'::regclass"
        ' AND tgtype & 7 = 5 ORDER BY tgname COLLATE "C"'
    )
    assert str(fired[0][0]).startswith(FIRES_FIRST), (
        f"{fired}: rename FIRES_FIRST, or the foreign key comes before it"
    )


@pytest.mark.usefixtures("locking")
def test_sixteen_clients_over_the_same_parents_never_deadlock(threads: Threads, seed: int) -> None:
    parents = [threads.first, threads.second, *(threads.rows.parent() for _ in range(48))]

    def insert_twenty(client: int) -> None:
        chance = random.Random(f"{seed} {client}")
        with connect() as writer:
            for _ in range(40):
                writer.execute(INSERT, [chance.choices(parents, k=20)])

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(insert_twenty, range(16)))
    assert sum(counted(threads).values()) == 16 * 40 * 20, f"repeat with --seed {seed}"
    assert threads.rows.sql(
        "SELECT count(*) FROM {parent} WHERE {column} <>"
        " (SELECT count(*) FROM {child} WHERE {foreign_key} = {parent}.{key})"
    ) == [(0,)]
