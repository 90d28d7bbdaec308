"""Dumps and restores: exact afterwards, or refused as a whole."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.faults.databases import migrated_database
from tests.faults.server import client_programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.scratch import ScratchDatabase

FILL = """
INSERT INTO users (email, password_hash)
     SELECT 'reader' || n || '@example.org', '' FROM generate_series(1, 5) AS n;
INSERT INTO chat_threads (user_id, title) SELECT id, 'Oslo' FROM users, generate_series(1, 3);
INSERT INTO chat_messages (thread_id, role, content)
     SELECT id, 'user', '?' FROM chat_threads, generate_series(1, id % 4);
INSERT INTO travel_itineraries (user_id, title, data)
     SELECT id, 'Caucasus', '{"waypoints": [1, 2]}' FROM users;
SELECT admit_feature_usage(id, 'map_export', 3, NULL) FROM users;
INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
     SELECT id, 'weekly_trends', id, date '2026-10-01', date '2026-10-31' FROM users;
"""
# What a restore must bring back, row by row.
STORED = """
SELECT 'thread' AS table, id, thread_messages_count, message_count FROM chat_threads
 UNION ALL SELECT 'message', id, thread_id, 0 FROM chat_messages
 UNION ALL SELECT 'itinerary', id, destinations_count, 0 FROM travel_itineraries
 UNION ALL SELECT 'month', id, user_id, usage_count FROM feature_usage
 UNION ALL SELECT 'event', id, user_id, quantity FROM feature_usage_events
 ORDER BY 1, 2
"""
EMPTY = "TRUNCATE users, plans, auth_permission, django_content_type, django_migrations CASCADE"
DISABLE = "--disable-triggers"


@pytest.fixture(scope="module")
def source(django_db_setup: None, django_db_blocker) -> Iterator[ScratchDatabase]:
    with django_db_blocker.unblock(), migrated_database() as database:
        database.run(FILL)
        yield database


@pytest.fixture(scope="module")
def dump(source: ScratchDatabase, django_db_blocker, tmp_path_factory) -> Path:
    with django_db_blocker.unblock():
        programs = client_programs()
    file: Path = tmp_path_factory.mktemp("dump") / "whole.dump"
    run(programs / "pg_dump", "--format=custom", f"--file={file}", f"--dbname={source.url}")
    return file


def run(program: Path, *arguments: str | Path, check: bool = True) -> str:
    done = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert not (check and done.returncode), done.stderr
    return "" if not done.returncode else done.stderr


def restore(dump: Path, target: ScratchDatabase, *options: str, check: bool = True) -> str:
    """Restore in one transaction; return what went wrong, if anything may."""
    return run(
        client_programs() / "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        f"--dbname={target.url}",
        *options,
        dump,
        check=check,
    )


def assert_same_and_exact(source: ScratchDatabase, target: ScratchDatabase) -> None:
    assert target.rows(STORED) == source.rows(STORED)
    audited = target.manage("audit_counters", "--no-record")
    assert audited.returncode == 0, audited.stdout


@pytest.fixture
def empty_schema(source: ScratchDatabase) -> Iterator[ScratchDatabase]:
    """Migrated, and without any row: what the migrations fill in is in the dump as well."""
    with migrated_database() as database:
        database.run(EMPTY)
        yield database


def test_a_database_that_is_restored_whole_is_exact_and_counts_on(
    source: ScratchDatabase, dump: Path, scratch_database: ScratchDatabase
) -> None:
    restore(dump, scratch_database)
    assert_same_and_exact(source, scratch_database)
    scratch_database.run(
        "INSERT INTO chat_messages (thread_id, role, content)"
        " SELECT id, 'user', '?' FROM chat_threads"
    )
    assert scratch_database.manage("audit_counters", "--no-record").returncode == 0


def test_data_alone_restored_with_the_triggers_disabled_are_exact(
    source: ScratchDatabase, dump: Path, empty_schema: ScratchDatabase
) -> None:
    restore(dump, empty_schema, "--data-only", DISABLE)
    assert_same_and_exact(source, empty_schema)


def test_data_alone_restored_with_the_triggers_at_work_are_refused_as_a_whole(
    dump: Path, empty_schema: ScratchDatabase
) -> None:
    """Tables come in the order of their names: messages before their threads."""
    message = restore(dump, empty_schema, "--data-only", check=False)
    assert "violates foreign key constraint" in message
    assert empty_schema.rows(STORED) == []
    assert empty_schema.rows("SELECT count(*) FROM users") == [(0,)]


def test_what_a_restore_of_some_tables_leaves_wrong_is_found_and_repaired(
    dump: Path, empty_schema: ScratchDatabase
) -> None:
    """Threads and months came back, with the triggers disabled; messages and events did not."""
    tables = ("plans", "users", "chat_threads", "feature_usage")
    restore(dump, empty_schema, "--data-only", DISABLE, *(f"--table={table}" for table in tables))
    assert empty_schema.manage("audit_counters").returncode == 1
    repaired = empty_schema.manage("repair_counters")
    assert repaired.returncode == 0, repaired.stderr
    assert empty_schema.manage("audit_counters").returncode == 0
    assert empty_schema.rows(
        "SELECT (SELECT sum(thread_messages_count + message_count) FROM chat_threads),"
        " (SELECT sum(usage_count) FROM feature_usage)"
    ) == [(0, 0)]
