"""A client that is killed in the middle of long work: run again, everything is there once."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from tests.concurrency.test_repair_killed import wait_until_nobody_repairs
from tests.faults.databases import suite_server
from tests.faults.subject import assert_all_exact
from tests.faults.test_interrupted import wait_until
from tests.import_files import conversation, query, run, usage_event, write
from tests.legacy.conftest import legacy_database
from tests.scratch import PROJECT, ScratchDatabase

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["legacy_database"]

WAITS_FOR_US = (
    "CREATE FUNCTION public.wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END'"
)
PATIENCE = 60  # seconds for a command to come to its place, on a machine that is busy
WHO_WAITS = """
    SELECT pid FROM pg_locks
     WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND locktype = 'advisory' AND objid = 4711 AND NOT granted
"""


def kill_when_it_waits(
    database: ScratchDatabase, *command: str, with_its_session: bool = False
) -> None:
    """Run manage.py until it waits for what this session holds, and kill it there.

    The session holds a lock and has no transaction open: an index that is built concurrently waits
    for every transaction. Of a client that is gone the server knows nothing until it has a word
    for it: it goes on with its statement, unless its session is ended as well.
    """
    with database.connect() as session:
        session.execute("SELECT pg_advisory_lock(4711)")
        with subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "manage.py", *command],
            cwd=PROJECT,
            env=database.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                wait_until(
                    lambda: session.execute(WHO_WAITS).fetchall(), "it waits", seconds=PATIENCE
                )
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        if with_its_session:
            session.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM ({WHO_WAITS}) AS it")


# ------------------------------------------------------------------------------------------ import

RECORDS = 5_001  # one more than an import loads at once
LAST = RECORDS - 1


def conversation_of(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {number}"}] if number % 100 == 0 else []
    return conversation(number, user=f"traveller{number % 7}@example.org", messages=messages)


def event_of(number: int) -> dict[str, Any]:
    return usage_event(number, user=f"traveller{number % 7}@example.org")


IMPORTS = {
    "import_threads": (conversation_of, "chat_messages", f"NEW.content = 'question {LAST}'"),
    "import_usage_events": (
        event_of,
        "feature_usage_events",
        f"NEW.idempotency_key = 'request {LAST}'",
    ),
}
FIGURES = {
    "import_threads": "SELECT count(*), coalesce(sum(thread_messages_count), 0) FROM chat_threads",
    "import_usage_events": "SELECT (SELECT count(*) FROM feature_usage_events),"
    " (SELECT coalesce(sum(usage_count), 0) FROM feature_usage)",
}
COMPLETE = {"import_threads": (RECORDS, 51), "import_usage_events": (RECORDS, RECORDS)}
MOMENTS = {  # and whether everything is there afterwards, or nothing
    "in its second batch": ("CREATE TRIGGER waiting BEFORE INSERT ON {table}", False),
    "in its commit": (  # which was sent: the server does it
        "CREATE CONSTRAINT TRIGGER waiting AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED",
        True,
    ),
}


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        ("import_threads", "in its second batch"),
        ("import_usage_events", "in its second batch"),
        ("import_usage_events", "in its commit"),
    ],
)
def test_an_import_that_is_killed_is_there_as_a_whole_or_not_at_all(
    committed: None, tmp_path: Path, command: str, moment: str
) -> None:
    record_of, table, condition = IMPORTS[command]
    trigger, kept = MOMENTS[moment]
    path = write(tmp_path / "in.jsonl", *(record_of(number) for number in range(RECORDS)))
    database = ScratchDatabase(name=str(connection.settings_dict["NAME"]), server=suite_server())
    database.run(WAITS_FOR_US)
    try:
        database.run(
            f"{trigger.format(table=table)}"
            f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION wait_for_the_test()"
        )
        kill_when_it_waits(database, command, str(path))
        wait_until_nobody_repairs()
    finally:
        database.run("DROP FUNCTION wait_for_the_test CASCADE")
    assert query(FIGURES[command]) == [COMPLETE[command] if kept else (0, 0)]
    assert_all_exact()

    assert run(command, path).code == 0
    assert query(FIGURES[command]) == [COMPLETE[command]]
    assert_all_exact()


# ---------------------------------------------------------------------------------------- backfill

THREADS = 2_500  # three batches
DRIFTING_THREADS = f"""
    INSERT INTO chat_threads (user_id, title)
         SELECT (SELECT min(id) FROM users), 'Drift' FROM generate_series(1, {THREADS});
    INSERT INTO chat_messages (thread_id, role, content)
         SELECT id, 'user', '?' FROM chat_threads;
    UPDATE chat_threads SET message_count = 7;
"""
IN_THE_SECOND_BATCH = """
    CREATE TRIGGER waiting BEFORE UPDATE ON chat_threads
    FOR EACH ROW WHEN (NEW.id = {thread}) EXECUTE FUNCTION wait_for_the_test()
"""
WRONG = """
    SELECT count(*) FILTER (WHERE thread_messages_count <> actual),
           count(*) FILTER (WHERE message_count <> actual)
      FROM chat_threads AS thread,
           LATERAL (SELECT count(*) AS actual FROM chat_messages WHERE thread_id = thread.id) AS it
"""


@pytest.mark.parametrize("with_its_session", [True, False])
def test_a_migration_that_is_killed_in_its_backfill_is_run_again(
    legacy_database: ScratchDatabase, *, with_its_session: bool
) -> None:
    """Where its session is not ended, the server goes on with the backfill beside the next one."""
    database = legacy_database
    database.run(DRIFTING_THREADS)
    [(thread,)] = database.rows(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM chat_threads"
    )
    database.run(WAITS_FOR_US)
    database.run(IN_THE_SECOND_BATCH.format(thread=thread))
    kill_when_it_waits(database, "migrate", "threads", "0002", with_its_session=with_its_session)
    if with_its_session:
        [(wrong, _)] = database.rows(WRONG)
        assert 0 < wrong < THREADS, "the first batch is there, and the second is not"
    # The existing application goes on meanwhile.
    database.run(
        "INSERT INTO chat_messages (thread_id, role, content)"
        " SELECT id, 'user', 'And by night?' FROM chat_threads"
    )
    database.migrate("threads")
    assert database.rows(WRONG) == [(0, 0)]
