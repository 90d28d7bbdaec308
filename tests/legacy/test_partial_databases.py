"""Taken over whole, from a part: what is there is kept, what is missing is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.legacy.catalog import read_definitions

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

# What an older or a newer release of the existing application has left.
RELEASES = {
    "before plans and months": """
        DROP TABLE feature_usage;
        DROP FUNCTION increment_feature_usage, check_feature_limit;
        DROP TABLE plans CASCADE;
        UPDATE users SET plan = NULL WHERE email = 'b@c.org';
    """,
    "before later columns": """
        DROP VIEW active_itineraries;
        ALTER TABLE users DROP COLUMN trial_started_at, DROP COLUMN is_trial, DROP COLUMN is_admin,
            DROP COLUMN lifetime_travel_assessments;
        ALTER TABLE chat_threads DROP COLUMN thread_uuid, DROP COLUMN archived_at;
        ALTER TABLE travel_itineraries DROP COLUMN itinerary_uuid, DROP COLUMN version;
        ALTER TABLE user_usage DROP COLUMN pdf_exports_used;
    """,
    "with counts that are NULL and the older trigger function": """
        UPDATE chat_threads SET message_count = NULL;
        CREATE OR REPLACE FUNCTION update_thread_stats() RETURNS trigger AS $body$
        BEGIN
            UPDATE chat_threads SET message_count = (
                SELECT count(*) FROM chat_messages WHERE thread_id = NEW.thread_id
            ) WHERE id = NEW.thread_id;
            RETURN NEW;
        END;
        $body$ LANGUAGE plpgsql
    """,
    "with columns of ours that it made itself": """
        ALTER TABLE chat_threads ADD COLUMN thread_messages_count integer;
        ALTER TABLE travel_itineraries ADD COLUMN destinations_count integer;
        UPDATE chat_threads SET thread_messages_count = 7 WHERE id = 1;
        ALTER TABLE feature_usage ADD COLUMN updated_at timestamptz
    """,
}
ROWS = "SELECT {0} FROM {1} ORDER BY 1"
KEPT = {
    "users": "id, email, name",
    "chat_threads": "id, user_id, title, updated_at",
    "chat_messages": "id, thread_id, content, created_at",
    "travel_itineraries": "id, user_id, title, data",
}
COUNTS = """
    SELECT thread_messages_count, message_count FROM chat_threads
    UNION ALL SELECT destinations_count, destinations_count FROM travel_itineraries
"""
REQUIRED = """
    SELECT attrelid::regclass || '.' || attname, attnotnull, atthasdef FROM pg_attribute
     WHERE attname IN ('thread_messages_count', 'destinations_count', 'itinerary_uuid')
       AND attrelid IN ('chat_threads'::regclass, 'travel_itineraries'::regclass)
     ORDER BY 1
"""


def read_rows(database: ScratchDatabase) -> dict[str, list[tuple[object, ...]]]:
    return {table: database.rows(ROWS.format(columns, table)) for table, columns in KEPT.items()}


@pytest.mark.parametrize("release", RELEASES)
def test_the_database_of_any_release_is_taken_over(
    release: str, legacy_database: ScratchDatabase
) -> None:
    legacy_database.run(RELEASES[release])
    rows, definitions = read_rows(legacy_database), read_definitions(legacy_database)

    legacy_database.migrate()

    assert read_rows(legacy_database) == rows
    assert sorted(legacy_database.rows(COUNTS)) == [(1, 1), (1, 1), (3, 3), (3, 3)]
    assert legacy_database.rows(REQUIRED) == [
        ("chat_threads.thread_messages_count", True, True),
        ("travel_itineraries.destinations_count", True, True),
        ("travel_itineraries.itinerary_uuid", True, True),
    ]
    assert legacy_database.rows(
        "SELECT count(*) FILTER (WHERE thread_uuid IS NULL), count(DISTINCT thread_uuid)"
        " FROM chat_threads"
    ) == [(0, 2)]
    assert legacy_database.rows("SELECT count(*) FROM plans") == [(4,)]
    assert legacy_database.rows("SELECT count(*) FROM feature_usage") == [(0,)]
    now = read_definitions(legacy_database)
    for name, definition in definitions.items():
        if name.startswith("function"):
            assert now[name] == definition, f"{name} was there, and is not as it was found"


def test_what_was_added_goes_on_with_values_of_its_own(legacy_database: ScratchDatabase) -> None:
    """A default that differs from row to row, which no statement could have added at once."""
    legacy_database.run(RELEASES["before later columns"])
    legacy_database.migrate("threads", "0001")
    legacy_database.run("INSERT INTO chat_threads (user_id, title) SELECT 1, 'Rome'")
    assert legacy_database.rows("SELECT count(DISTINCT thread_uuid) FROM chat_threads") == [(3,)]
