"""Imports of the same records on several connections."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from sentinel.counters import audit_counters, declared_counters
from sentinel.imports import import_records, open_source
from sentinel.progress import Progress
from tests.concurrency.writers import connect
from tests.import_files import conversation, query, write
from threads.importing import CONVERSATIONS

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

pytestmark = pytest.mark.usefixtures("committed")

IMPORTS = 4
RECORDS = [conversation(n, user=f"traveller{n % 7}@example.org") for n in range(200)]


def import_file(path: Path, progress: Progress | None = None) -> int:
    try:
        with open_source(str(path)) as source:
            return import_records(CONVERSATIONS, source, progress=progress).rows_added
    finally:
        connection.close()


def test_imports_in_opposite_orders_add_everything_once(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "forwards.jsonl", *RECORDS),
        write(tmp_path / "backwards.jsonl", *reversed(RECORDS)),
    ]
    with ThreadPoolExecutor(IMPORTS) as pool:
        added = list(pool.map(import_file, paths * (IMPORTS // 2)))
    assert sorted(added) == [0, 0, 0, 200]
    assert query("SELECT count(*), sum(message_count) FROM chat_threads") == [(200, 400)]
    assert query("SELECT count(*) FROM users") == [(7,)]
    assert all(report.exact for report in audit_counters(declared_counters()))


def test_a_thread_that_another_writer_adds_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", *RECORDS)
    with connect() as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute(
                "WITH owner AS (INSERT INTO users (email, password_hash)"
                " VALUES ('other@example.org', '') RETURNING id)"
                " INSERT INTO chat_threads (user_id, thread_uuid, title)"
                " SELECT id, %s, 'Mine' FROM owner",
                [CONVERSATIONS.key(RECORDS[0]["id"])],
            )
            importing = pool.submit(import_file, path)
            wait_for_waiting_transaction(other)
        assert importing.result() == 199
    assert query("SELECT message_count FROM chat_threads WHERE title = 'Mine'") == [(0,)]
    assert query("SELECT count(*) FROM chat_messages") == [(398,)]


def wait_for_waiting_transaction(connection: psycopg.Connection[Any]) -> None:
    for _ in range(200):
        waiting = connection.execute(
            "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
            " AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        if waiting.fetchall():
            return
        time.sleep(0.05)
    raise AssertionError("the import did not wait for the other writer within ten seconds")


def test_an_import_that_waits_for_another_says_so(tmp_path: Path) -> None:
    class Noting(Progress):
        """Lets the other import end once it is waited for."""

        def note(self, text: str) -> None:
            notes.append(text)
            other.rollback()

    notes: list[str] = []
    with connect() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('sentinel.imports', 0))")
        import_file(write(tmp_path / "in.jsonl", *RECORDS), Noting())
    assert notes == ["Another import is running: waiting for it to end."]
