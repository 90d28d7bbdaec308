"""Counters where a database is not alone: subscribers of logical replication, and partitions."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.deploying.conftest import FILL, YEARS
from tests.deploying.psql import FORWARD, run_files, run_psql
from tests.faults.server import own_server
from tests.legacy.conftest import LEGACY_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.server import OwnServer
    from tests.scratch import ScratchDatabase

PUBLISHED = ("users", "plans", "user_usage", "chat_threads", "chat_messages", "travel_itineraries")
USAGE = ("feature_usage", "feature_usage_events")
MESSAGE = "INSERT INTO chat_messages (thread_id, role, content) VALUES (1, 'user', '?')"
WRONG = """
    SELECT id, thread_messages_count FROM chat_threads AS t
     WHERE thread_messages_count <> message_count
        OR message_count <> (SELECT count(*) FROM chat_messages WHERE thread_id = t.id)
"""
COUNTERS = """
    SELECT 'thread', id::text, thread_messages_count, message_count FROM chat_threads
    UNION ALL SELECT 'itinerary', id::text, destinations_count, 0 FROM travel_itineraries
    UNION ALL SELECT 'month', id::text, usage_count, 0 FROM feature_usage
    UNION ALL SELECT 'event', id::text, quantity, 0 FROM feature_usage_events
    UNION ALL SELECT 'use', user_id::text, chat_messages_used, 0 FROM user_usage
    ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker) -> Iterator[OwnServer]:
    """A server of our own, since the level of its log is a setting of the whole server."""
    with django_db_blocker.unblock(), own_server() as server:
        server.database("postgres").run("ALTER SYSTEM SET wal_level = logical")
        server.end(signal.SIGINT)
        server.start()
        yield server


def subscribe(
    server: OwnServer, publisher: ScratchDatabase, subscriber: ScratchDatabase, *tables: str
) -> None:
    """Replicate tables. The slot is made by hand, since both databases are on one server."""
    slot = subscriber.name
    publisher.run(f"CREATE PUBLICATION {slot} FOR TABLE {', '.join(tables)}")
    publisher.run(f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    subscriber.run(
        f"CREATE SUBSCRIPTION {slot} CONNECTION 'host={server.path} user=postgres"
        f" dbname={publisher.name}' PUBLICATION {slot}"
        f" WITH (create_slot = false, slot_name = {slot})"
    )


def catch_up(publisher: ScratchDatabase, subscriber: ScratchDatabase) -> None:
    """Wait until the subscriber has copied every table and applied what the publisher wrote."""
    [(position,)] = publisher.rows("SELECT pg_current_wal_lsn()::text")
    deadline = time.monotonic() + 120
    while True:
        [(copied,)] = subscriber.rows(
            "SELECT count(*) = 0 FROM pg_subscription_rel JOIN pg_subscription AS s ON s.oid ="
            f" srsubid WHERE subname = '{subscriber.name}' AND srsubstate <> 'r'"
        )
        [(applied,)] = publisher.rows(
            f"SELECT coalesce(confirmed_flush_lsn >= '{position}', false)"
            f" FROM pg_replication_slots WHERE slot_name = '{subscriber.name}'"
        )
        if copied and applied:
            return
        assert time.monotonic() < deadline, "the subscriber does not catch up"
        time.sleep(0.05)


def end_subscription(publisher: ScratchDatabase, subscriber: ScratchDatabase) -> None:
    subscriber.run(f"ALTER SUBSCRIPTION {subscriber.name} DISABLE;")
    subscriber.run(f"ALTER SUBSCRIPTION {subscriber.name} SET (slot_name = NONE)")
    subscriber.run(f"DROP SUBSCRIPTION {subscriber.name}")


def deployed_database(server: OwnServer, name: str, *rows: str) -> ScratchDatabase:
    """Make a database of the deployed system, and deploy."""
    server.database("postgres").run(f"CREATE DATABASE {name} TEMPLATE template0")
    database = server.database(name)
    for statements in (LEGACY_SCHEMA, *rows):
        database.run(statements)
    run_files(database, *FORWARD)
    return database


def test_a_subscriber_holds_the_publishers_counters_and_counts_nothing_twice(
    server: OwnServer,
) -> None:
    publisher = deployed_database(server, "publisher", FILL, YEARS)
    subscriber = deployed_database(server, "subscriber")
    subscriber.run("DELETE FROM plans")  # the publisher's come instead
    subscribe(server, publisher, subscriber, *PUBLISHED, *USAGE)
    catch_up(publisher, subscriber)
    assert subscriber.rows(COUNTERS) == publisher.rows(COUNTERS)

    publisher.run(MESSAGE)
    publisher.run(
        "UPDATE chat_messages SET thread_id = 2 WHERE id = (SELECT max(id)"
        " FROM chat_messages); DELETE FROM chat_messages WHERE id = 1"
    )
    publisher.run("SELECT increment_feature_usage_safe(1, 'map_export', 3)")
    publisher.run("UPDATE feature_usage SET usage_count = usage_count + 1 WHERE user_id = 2")
    publisher.run("UPDATE travel_itineraries SET data = '{\"waypoints\": [1, 2]}' WHERE id = 1")
    publisher.run("DELETE FROM chat_threads WHERE user_id = 2")
    catch_up(publisher, subscriber)
    assert subscriber.rows(COUNTERS) == publisher.rows(COUNTERS)
    assert subscriber.rows(WRONG) == []

    # Promoted: it is written to, and its triggers fire.
    end_subscription(publisher, subscriber)
    subscriber.run("SELECT setval('chat_messages_id_seq', 1000)")  # sequences are not replicated
    subscriber.run(MESSAGE)
    assert subscriber.rows(WRONG) == []


def test_a_subscriber_of_messages_alone_drifts_which_the_audit_finds_and_repair_cures(
    server: OwnServer,
) -> None:
    publisher = deployed_database(server, "all_of_it", FILL, YEARS)
    subscriber = deployed_database(
        server, "messages_alone", FILL.split("INSERT INTO chat_messages")[0]
    )
    subscribe(server, publisher, subscriber, "chat_messages")
    catch_up(publisher, subscriber)
    assert subscriber.rows(WRONG) == [(1, 0), (2, 0)]
    end_subscription(publisher, subscriber)
    subscriber.run("UPDATE chat_threads SET thread_messages_count = NULL")
    assert subscriber.rows(WRONG) == []


PARTITIONED = """
    ALTER TABLE chat_messages RENAME TO messages_before;
    CREATE TABLE chat_messages (LIKE messages_before INCLUDING DEFAULTS,
        PRIMARY KEY ({key}),
        CHECK (role IN ('user', 'assistant', 'system')),
        FOREIGN KEY (thread_id) REFERENCES chat_threads ON DELETE CASCADE
    ) PARTITION BY {by};
    {partitions};
    INSERT INTO chat_messages SELECT * FROM messages_before;
    ALTER SEQUENCE chat_messages_id_seq OWNED BY chat_messages.id;
    DROP TABLE messages_before;
    CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages
        FOR EACH ROW EXECUTE FUNCTION update_thread_stats();
"""
BY_HASH = PARTITIONED.format(
    key="id",
    by="HASH (id)",
    partitions="CREATE TABLE m0 PARTITION OF chat_messages"
    " FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE m1 PARTITION OF chat_messages"
    " FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
)
BY_MONTH = PARTITIONED.format(
    key="id, created_at",
    by="RANGE (created_at)",
    partitions="CREATE TABLE m PARTITION OF chat_messages DEFAULT",
)


def test_messages_in_partitions_by_their_key_are_counted_where_the_table_is_named(
    production: ScratchDatabase,
) -> None:
    production.run(BY_HASH)
    run_files(production, *FORWARD)
    production.run(f"{MESSAGE}; {MESSAGE}; DELETE FROM chat_messages WHERE id = 1")
    production.run("UPDATE chat_messages SET id = id + 1000, thread_id = 2 WHERE id = 2")
    assert production.rows(WRONG) == []

    # What names a partition fires nothing. The audit finds it, a recount cures it.
    production.run("DELETE FROM m0")
    assert production.rows(WRONG) != []
    production.run("UPDATE chat_threads SET thread_messages_count = NULL")
    assert production.rows(WRONG) == []


def test_messages_in_partitions_by_month_are_refused_by_name(production: ScratchDatabase) -> None:
    production.run(BY_MONTH)
    done = run_psql(production, "", "--file", FORWARD[0])
    assert done.returncode == 3
    assert "chat_messages.id: found PRIMARY KEY (id, created_at)" in done.stderr
