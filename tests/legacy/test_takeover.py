"""Into a database of the deployed system, back out of it, and in again: nothing is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

# What the existing writers left behind: counts that were added twice, messages deleted by hand,
# counts that are NULL, itineraries of every malformed kind.
WRONG_COUNTS = """
    UPDATE chat_threads SET message_count = message_count + 3
     WHERE user_id = (SELECT min(id) FROM users);
    INSERT INTO chat_threads (user_id, title) SELECT id, 'Emptied by hand' FROM users;
    UPDATE chat_threads SET message_count = NULL WHERE title = 'Emptied by hand';
    DELETE FROM chat_messages WHERE id IN (SELECT max(id) FROM chat_messages GROUP BY thread_id);
    INSERT INTO travel_itineraries (user_id, data)
    SELECT min(id), data::jsonb FROM users, (VALUES ('{}'), ('[]'), ('"a string"'), ('7'), ('null'),
           ('{"waypoints": null}'), ('{"waypoints": {}}'), ('{"waypoints": "Rome"}'),
           ('{"waypoints": [1, 2, 3]}')) AS document (data) GROUP BY data;
    UPDATE chat_threads SET updated_at = '2024-02-29 12:00+00';
"""
TRUE_COUNTS = """
    SELECT id, message_count, (SELECT count(*) FROM chat_messages WHERE thread_id = chat_threads.id)
      FROM chat_threads ORDER BY id
"""
# Everything but what the migrations are there to change.
CONTENTS = """
    SELECT 'users', to_jsonb(t) - '{last_login,is_staff,is_superuser}'::text[] FROM users AS t
    UNION ALL SELECT 'usage', to_jsonb(t) FROM user_usage AS t
    UNION ALL SELECT 'threads', to_jsonb(t) - '{message_count,thread_messages_count}'::text[]
      FROM chat_threads AS t
    UNION ALL SELECT 'messages', to_jsonb(t) FROM chat_messages AS t
    UNION ALL SELECT 'itineraries', to_jsonb(t) - 'destinations_count'
      FROM travel_itineraries AS t
    ORDER BY 1, 2
"""


@pytest.fixture
def drifted(legacy_database: ScratchDatabase) -> ScratchDatabase:
    legacy_database.run(WRONG_COUNTS)
    return legacy_database


def audit(database: ScratchDatabase) -> dict[str, object]:
    done = database.manage("audit_counters", "--format", "json")
    assert done.returncode in {0, 1}, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    assert document["exact"] is (done.returncode == 0)
    return document


def assert_true_counts(database: ScratchDatabase) -> None:
    for thread, stored, actual in database.rows(TRUE_COUNTS):
        assert stored == actual, f"message_count of thread {thread}"


def test_a_takeover_makes_every_count_true_and_changes_nothing_else(
    drifted: ScratchDatabase,
) -> None:
    before = drifted.rows(CONTENTS)
    drifted.migrate()
    assert audit(drifted)["exact"] is True
    assert_true_counts(drifted)
    assert drifted.rows(CONTENTS) == before


def test_going_back_gives_the_old_system_back_with_true_counts(drifted: ScratchDatabase) -> None:
    drifted.migrate()
    before = drifted.rows(CONTENTS)
    drifted.migrate_to_0001()
    assert drifted.rows(CONTENTS) == before
    assert_true_counts(drifted)
    ours = drifted.rows(
        "SELECT tgname FROM pg_trigger WHERE tgname ~ '^(pgtrigger|zzz)_'"
        " UNION ALL SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relkind = 'r' AND attname IN ('thread_messages_count', 'destinations_count')"
        " AND NOT attisdropped"
    )
    assert ours == []
    # The legacy trigger counts again: every message, and the month's usage with it.
    [(thread, user)] = drifted.rows("SELECT id, user_id FROM chat_threads ORDER BY id LIMIT 1")
    used = f"SELECT chat_messages_used FROM user_usage WHERE user_id = {user}"
    [(month_before,)] = drifted.rows(used)
    drifted.run(
        f"INSERT INTO chat_messages (thread_id, role, content)"
        f" SELECT {thread}, 'user', 'Back again' FROM generate_series(1, 2)"
    )
    assert_true_counts(drifted)
    assert drifted.rows(used) == [(month_before + 2,)]


def test_in_and_out_and_in_again_counts_what_was_written_in_between(
    drifted: ScratchDatabase,
) -> None:
    drifted.migrate()
    drifted.migrate_to_0001()
    drifted.run(WRONG_COUNTS)
    before = drifted.rows(CONTENTS)
    drifted.migrate()
    assert audit(drifted)["exact"] is True
    assert_true_counts(drifted)
    assert drifted.rows(CONTENTS) == before


def test_a_migration_that_was_killed_half_way_is_run_again(drifted: ScratchDatabase) -> None:
    """Each step was committed by itself: what stands already is found standing."""
    drifted.migrate()
    drifted.run("DELETE FROM django_migrations WHERE app = 'threads' AND name LIKE '0002%'")
    drifted.run("DELETE FROM django_migrations WHERE app = 'threads' AND name LIKE '0003%'")
    drifted.run("DELETE FROM django_migrations WHERE app = 'itineraries' AND name LIKE '0002%'")
    drifted.migrate()
    assert audit(drifted)["exact"] is True


def test_the_existing_applications_role_writes_on_without_rights_on_anything_new(
    drifted: ScratchDatabase,
) -> None:
    """It inserts as before, counts twice as before, and its own count is not added."""
    role = f"existing_{drifted.name}"
    drifted.migrate()
    drifted.run(f"CREATE ROLE {role}")
    try:
        drifted.run(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON users, chat_threads, chat_messages TO {role};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        )
        with drifted.connect() as writer:
            writer.execute(f"SET ROLE {role}".encode())
            row = writer.execute(
                "INSERT INTO chat_threads (user_id, title, message_count)"
                " SELECT min(id), 'New', 2 FROM users RETURNING id"
            ).fetchone()
            assert row
            for _ in range(2):
                with writer.transaction():
                    writer.execute(
                        "INSERT INTO chat_messages (thread_id, role, content)"
                        " VALUES (%s, 'user', 'Hello')",
                        row,
                    )
                    writer.execute(
                        "UPDATE chat_threads SET message_count = message_count + 1,"
                        " thread_messages_count = thread_messages_count + 1 WHERE id = %s",
                        row,
                    )
        assert_true_counts(drifted)
        assert audit(drifted)["exact"] is True
    finally:
        drifted.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_drift_behind_the_triggers_back_makes_the_audit_exit_1_and_name_the_row(
    drifted: ScratchDatabase,
) -> None:
    drifted.migrate()
    drifted.run(
        "BEGIN; SET LOCAL session_replication_role = replica;"
        " DELETE FROM chat_messages WHERE id = (SELECT min(id) FROM chat_messages); COMMIT"
    )
    [(thread,)] = drifted.rows("SELECT min(id) FROM chat_threads")
    report = audit(drifted)
    assert report["exact"] is False
    drifts = [
        (drift["key"], drift["stored"] - drift["actual"])
        for counter in report["counters"]  # type: ignore[attr-defined]
        for drift in counter["sample"]
    ]
    assert drifts == [(thread, 1)]
