"""The backfill that a migration of a new counter holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from sentinel.counters import BoundCounter, backfill_sql, declared_counters, find_counters

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

ROWS = """
    INSERT INTO users (email, password_hash) VALUES ('ada@example.org', '');
    INSERT INTO chat_threads (user_id, title) SELECT id, 'Bern' FROM users, generate_series(1, 5);
    INSERT INTO chat_messages (thread_id, role, content)
    SELECT id, 'user', 'Hello' FROM chat_threads, generate_series(1, 3);
    INSERT INTO travel_itineraries (user_id, data)
    SELECT id, '{"waypoints": [1, 2]}' FROM users, generate_series(1, 5);
    SET session_replication_role = replica;
    UPDATE chat_threads SET thread_messages_count = 0, message_count = NULL,
           updated_at = '2024-02-29 12:00+00';
    UPDATE travel_itineraries SET destinations_count = 0, updated_at = '2024-02-29 12:00+00';
"""


def test_it_fills_the_columns_in_batches_and_can_be_run_again(
    scratch_database: ScratchDatabase,
) -> None:
    scratch_database.migrate()
    scratch_database.run(ROWS)
    counters = find_counters(
        ["chat_threads.thread_messages_count", "travel_itineraries.destinations_count"]
    )
    for _ in range(2):
        for counter in counters:
            scratch_database.run(backfill_sql(counter, batch_size=2))
        assert scratch_database.manage("audit_counters", "--no-record").returncode == 0
    # three batches of two, two and one: each a transaction of its own
    assert scratch_database.rows("SELECT count(DISTINCT xmin::text) FROM chat_threads") == [(3,)]
    assert scratch_database.rows("SELECT DISTINCT destinations_count FROM travel_itineraries") == [
        (2,)
    ]
    assert scratch_database.rows(
        "SELECT DISTINCT updated_at AT TIME ZONE 'UTC' = '2024-02-29 12:00' FROM travel_itineraries"
    ) == [(True,)]


def test_rows_that_somebody_holds_are_filled_when_they_are_let_go(
    scratch_database: ScratchDatabase,
) -> None:
    scratch_database.migrate()
    scratch_database.run(ROWS)
    [counter] = find_counters(["chat_threads.thread_messages_count"])
    filled = "SELECT count(*) FROM chat_threads WHERE thread_messages_count = 3"
    with scratch_database.connect() as writer, ThreadPoolExecutor(1) as pool:
        writer.execute("BEGIN; SELECT FROM chat_threads WHERE id = 2 FOR UPDATE")
        job = pool.submit(scratch_database.run, backfill_sql(counter, batch_size=2))
        while scratch_database.rows(filled) != [(4,)]:  # all others, in their batches
            assert not job.done()
        writer.execute("COMMIT")
        job.result()
    assert scratch_database.rows(filled) == [(5,)]


@pytest.mark.django_db
@pytest.mark.parametrize("counter", declared_counters(), ids=lambda counter: counter.name)
def test_every_counter_has_one_and_the_command_prints_it(counter: BoundCounter) -> None:
    out = StringIO()
    call_command("print_backfill", counter.name, stdout=out)
    assert out.getvalue() == backfill_sql(counter)
    assert out.getvalue().startswith(f"-- Backfill of {counter.name}.\n")
    with connection.cursor() as cursor:
        cursor.execute(out.getvalue())  # nothing differs, so it does not come to its COMMIT


def test_a_counter_that_is_not_declared_is_refused() -> None:
    with pytest.raises(CommandError, match="No counter is called 'a") as error:
        call_command("print_backfill", "a.b")
    assert error.value.returncode == 2
