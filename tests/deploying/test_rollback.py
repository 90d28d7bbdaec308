"""Back to the deployed system: nothing is lost, and its application works on at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.errors import UndefinedColumn

from tests.deploying.catalog import differences, of_the_deployed_system, read_definitions
from tests.deploying.psql import FORWARD, ROLLBACK, run_files
from tests.deploying.rows import ROWS, WRONG
from tests.deploying.writers import Writers

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

MONTHS = """
    SELECT user_id, feature, usage_count, period_start::text FROM feature_usage ORDER BY 1, 2, 4
"""
EVENTS = "SELECT to_jsonb(t) FROM feature_usage_events AS t ORDER BY id"


def assert_exact(database: ScratchDatabase) -> None:
    assert database.rows(WRONG) == []
    assert (
        database.rows("SELECT id FROM chat_threads WHERE thread_messages_count <> message_count")
        == []
    )
    assert (
        database.rows(
            "SELECT user_id, feature FROM feature_usage AS month WHERE user_id IS NOT NULL"
            " AND usage_count IS DISTINCT FROM (SELECT coalesce(sum(quantity), 0)"
            " FROM feature_usage_events AS event WHERE (event.user_id, event.feature,"
            " event.period_start) = (month.user_id, month.feature, month.period_start))"
        )
        == []
    )


OLDER = """
    CREATE OR REPLACE FUNCTION update_thread_stats() RETURNS trigger AS $body$
    begin
        update chat_threads set updated_at = now(),
            message_count = (select count(*) from chat_messages where thread_id = new.thread_id)
        where id = new.thread_id;
        return new;
    end;
    $body$ LANGUAGE plpgsql
"""


@pytest.mark.parametrize("function", ["newest", "older"])
def test_the_file_gives_the_deployed_system_back_as_it_was_found(
    function: str, production: ScratchDatabase
) -> None:
    if function == "older":
        production.run(OLDER)
    definitions, rows = read_definitions(production), production.rows(ROWS)
    run_files(production, *FORWARD)
    events = production.rows(EVENTS)
    assert events

    run_files(production, ROLLBACK)
    after = of_the_deployed_system(read_definitions(production), definitions)
    assert differences(definitions, after) == {}
    assert production.rows(ROWS) == rows
    assert production.rows(WRONG) == []
    assert production.rows(EVENTS) == events


def test_the_legacy_trigger_counts_again(deployed: ScratchDatabase) -> None:
    run_files(deployed, ROLLBACK)
    deployed.run("DELETE FROM user_usage; UPDATE chat_threads SET message_count = 77 WHERE id = 1")
    deployed.run(
        "INSERT INTO chat_messages (thread_id, role, content) VALUES (1, 'user', '?');"
        "UPDATE feature_usage SET usage_count = 9 WHERE user_id = 1"
    )
    assert deployed.rows("SELECT message_count FROM chat_threads WHERE id = 1") == [(4,)]
    assert deployed.rows("SELECT chat_messages_used FROM user_usage") == [(1,)]
    assert deployed.rows("SELECT usage_count FROM feature_usage WHERE user_id = 1") == [(9,)]


def test_the_file_can_be_run_again_and_where_there_is_nothing_to_take_back(
    production: ScratchDatabase,
) -> None:
    definitions, rows = read_definitions(production), production.rows(ROWS)
    for _ in range(2):
        run_files(production, ROLLBACK)
        assert differences(definitions, read_definitions(production)) == {}
        assert production.rows(ROWS) == rows


def test_no_message_and_no_use_is_lost_while_the_application_writes(
    production: ScratchDatabase,
) -> None:
    with Writers(production) as writers:
        for _ in range(2):
            run_files(production, *FORWARD)
            writers.go_on()
            run_files(production, ROLLBACK)
            assert [row for row in production.rows(WRONG) if not is_live(production, row[0])] == []
            writers.go_on()
    assert production.rows(WRONG) == [], "a message was counted by nobody, or twice"
    assert production.rows(
        "SELECT user_id, usage_count FROM feature_usage WHERE feature = 'api_access' ORDER BY 1"
    ) == [(number + 1, rounds) for number, rounds in sorted(writers.rounds.items())]

    run_files(production, *FORWARD)
    assert_exact(production)


def is_live(database: ScratchDatabase, thread: int) -> bool:
    """Tell whether a writer is at work there: its count is true, but not for long."""
    return database.rows(f"SELECT title = 'Live' FROM chat_threads WHERE id = {thread}") == [
        (True,)
    ]


def test_what_was_written_while_rolled_back_is_adopted_at_the_next_way_in(
    deployed: ScratchDatabase,
) -> None:
    deployed.run("SELECT increment_feature_usage_safe(2, 'map_export', 5)")
    run_files(deployed, ROLLBACK)
    deployed.run(
        "UPDATE feature_usage SET usage_count = usage_count + 4 WHERE user_id = 1;"
        "SELECT increment_feature_usage(2, 'saved_searches');"
        "INSERT INTO chat_messages (thread_id, role, content) VALUES (2, 'user', '?');"
        "UPDATE chat_threads SET message_count = message_count + 1 WHERE id = 2"
    )
    months = deployed.rows(MONTHS)
    run_files(deployed, *FORWARD)
    assert deployed.rows(MONTHS) == months
    assert_exact(deployed)
    assert deployed.rows(
        "SELECT user_id, feature, quantity, source FROM feature_usage_events ORDER BY id"
    ) == [
        (1, "map_export", 7, "opening"),
        (2, "map_export", 2, "opening"),
        (2, "map_export", 5, "increment"),
        (1, "map_export", 4, "opening"),
        (2, "saved_searches", 1, "opening"),
    ]

    run_files(deployed, ROLLBACK)
    assert deployed.rows(MONTHS) == months
    assert deployed.rows(WRONG) == []


def test_the_events_of_a_user_who_was_deleted_while_rolled_back_go_at_the_next_way_in(
    deployed: ScratchDatabase,
) -> None:
    run_files(deployed, ROLLBACK)
    deployed.run("DELETE FROM users WHERE id = 1")
    assert deployed.rows("SELECT user_id FROM feature_usage_events ORDER BY 1") == [(1,), (2,)]
    run_files(deployed, *FORWARD)
    assert deployed.rows("SELECT user_id FROM feature_usage_events") == [(2,)]
    assert_exact(deployed)


# What somebody types who follows the hint that PostgreSQL gives to the guide's own rollback.
CASCADE = """
    ALTER TABLE chat_threads DROP COLUMN IF EXISTS thread_messages_count CASCADE;
    ALTER TABLE travel_itineraries DROP COLUMN IF EXISTS destinations_count CASCADE;
"""
NEW_MESSAGE = "INSERT INTO chat_messages (thread_id, role, content) VALUES (1, 'user', '?')"
NEW_ITINERARY = "INSERT INTO travel_itineraries (user_id, data) VALUES (1, '{}')"


@pytest.mark.parametrize("write", [NEW_MESSAGE, NEW_ITINERARY], ids=["message", "itinerary"])
def test_columns_dropped_with_cascade_stop_the_existing_application(
    write: str, deployed: ScratchDatabase
) -> None:
    deployed.run(CASCADE)
    with pytest.raises(UndefinedColumn):
        deployed.run(write)
    assert deployed.rows(WRONG) == []


def test_one_file_brings_back_what_cascade_took(deployed: ScratchDatabase) -> None:
    whole = read_definitions(deployed)
    deployed.run(CASCADE)
    run_files(deployed, FORWARD[0])
    assert differences(whole, read_definitions(deployed)) == {}
    deployed.run(f"{NEW_MESSAGE}; {NEW_ITINERARY}")
    assert_exact(deployed)


def test_the_rollback_ends_what_cascade_began(production: ScratchDatabase) -> None:
    definitions = read_definitions(production)
    run_files(production, *FORWARD)
    production.run(CASCADE)
    run_files(production, ROLLBACK)
    after = of_the_deployed_system(read_definitions(production), definitions)
    assert differences(definitions, after) == {}
    production.run(f"{NEW_MESSAGE}; {NEW_ITINERARY}")
    assert production.rows(WRONG) == []
