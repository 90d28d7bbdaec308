"""The first migrations on an empty database, on the deployed system's, and on part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.errors import ObjectNotInPrerequisiteState

from tests.legacy.catalog import read_definitions, read_rows, read_storage
from tests.legacy.conftest import LEGACY_SCHEMA
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

# What the application of the deployed system has beyond the tables that 0001 makes.
NOT_OURS = ("check_thread", "get_monthly")


def is_ours(name: str) -> bool:
    return not any(f" {prefix}" in name or f" on {prefix}" in name for prefix in NOT_OURS)


def test_an_empty_database_gets_the_schema_of_the_deployed_system(
    scratch_database: ScratchDatabase, django_db_setup: None
) -> None:
    scratch_database.migrate_to_0001()
    made = read_definitions(scratch_database)

    scratch_database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    scratch_database.run(LEGACY_SCHEMA)
    deployed = {
        name: definition
        for name, definition in read_definitions(scratch_database).items()
        if is_ours(name)
    }

    assert made.keys() == deployed.keys(), (
        "0001 and tests/legacy/legacy_schema.sql name different things. If the deployed system "
        "really has it otherwise, both must say so."
    )
    # Bodies of functions and views may be worded differently: they are fired and read below.
    for name, definition in deployed.items():
        if not name.startswith(("function", "view")):
            assert made[name] == definition, f"{name} differs from the deployed system's"


def test_a_complete_legacy_database_is_left_as_it_is(legacy_database: ScratchDatabase) -> None:
    definitions = read_definitions(legacy_database)
    rows = read_rows(legacy_database)
    storage = read_storage(legacy_database)

    legacy_database.migrate_to_0001()

    assert read_definitions(legacy_database) == definitions
    assert read_rows(legacy_database) == rows, (
        "0001 wrote rows of a database that needed nothing: plans must stay as they are found"
    )
    assert read_storage(legacy_database) == storage


def test_a_complete_legacy_database_is_adopted_while_others_write_every_table(
    legacy_database: ScratchDatabase,
) -> None:
    with legacy_database.connect() as writer, writer.transaction():
        writer.execute("UPDATE users SET name = 'Ada'")
        writer.execute("UPDATE user_usage SET chat_messages_limit = 4")
        writer.execute("UPDATE chat_threads SET title = 'Porto'")
        writer.execute("UPDATE chat_messages SET content = 'Is it?'")
        writer.execute("UPDATE travel_itineraries SET version = 2")
        # It gives up after half a second of waiting: so it did not wait.
        legacy_database.migrate_to_0001()


def test_every_migration_runs_on_a_complete_legacy_database(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.migrate()
    assert legacy_database.rows("SELECT email FROM users ORDER BY id") == [
        ("ada@example.org",),
        ("b@c.org",),
    ]
    assert legacy_database.rows("SELECT DISTINCT is_staff, is_superuser FROM users") == [
        (False, False)
    ]


PARTS = {
    "a table of messages": "DROP TABLE chat_messages",
    "a table of usage": "DROP TABLE user_usage",
    "itineraries": "DROP TABLE travel_itineraries CASCADE",
    "plans": "DROP TABLE plans CASCADE",
    "a table of months": "DROP TABLE feature_usage",
    "everything but users": """
        DROP TABLE chat_messages, chat_threads, travel_itineraries, user_usage CASCADE;
        DROP FUNCTION update_thread_stats, update_itinerary_updated_at;
    """,
    "columns": """
        ALTER TABLE plans DROP COLUMN created_at;
        ALTER TABLE users DROP COLUMN is_trial, DROP COLUMN is_admin, DROP COLUMN plan;
        ALTER TABLE user_usage DROP COLUMN pdf_exports_used, DROP COLUMN email;
        ALTER TABLE chat_threads DROP COLUMN thread_uuid, DROP COLUMN archived_at;
        ALTER TABLE chat_messages DROP COLUMN "timestamp";
        DROP VIEW active_itineraries;
        ALTER TABLE travel_itineraries DROP COLUMN version, DROP COLUMN itinerary_uuid;
    """,
    "indexes": """
        DROP INDEX idx_users_email, idx_users_plan, idx_users_is_admin, idx_user_usage_email,
            idx_threads_user, idx_threads_active, idx_threads_uuid, idx_messages_thread,
            idx_itineraries_user_created, idx_itineraries_uuid, idx_itineraries_user_active
    """,
    "constraints": """
        ALTER TABLE users DROP CONSTRAINT users_email_key, DROP CONSTRAINT users_plan_fkey;
        ALTER TABLE user_usage DROP CONSTRAINT user_usage_email_key,
            DROP CONSTRAINT user_usage_user_id_fkey;
        ALTER TABLE chat_threads DROP CONSTRAINT chat_threads_thread_uuid_key,
            DROP CONSTRAINT chat_threads_user_id_fkey;
        ALTER TABLE chat_messages DROP CONSTRAINT chat_messages_role_check,
            DROP CONSTRAINT chat_messages_thread_id_fkey;
        ALTER TABLE travel_itineraries DROP CONSTRAINT fk_user,
            DROP CONSTRAINT travel_itineraries_itinerary_uuid_key;
    """,
    "triggers, functions and views": """
        DROP FUNCTION update_updated_at_column, update_thread_stats, update_itinerary_updated_at
            CASCADE;
        DROP VIEW user_active_threads, active_itineraries;
    """,
}


@pytest.mark.parametrize("missing", PARTS)
def test_what_a_partial_database_misses_is_added(
    missing: str, legacy_database: ScratchDatabase
) -> None:
    complete = read_definitions(legacy_database)
    legacy_database.run(PARTS[missing])
    left = read_definitions(legacy_database)
    assert left != complete

    legacy_database.migrate_to_0001()

    now = read_definitions(legacy_database)
    assert now.keys() == complete.keys(), "something is still missing, or more was made than that"
    for name, definition in now.items():
        if name.startswith("columns of"):
            continue  # an added column is the last
        if name in left:
            assert definition == left[name], f"{name} was there, and is not as it was found"
        elif not name.startswith(("function", "view")):
            assert definition == complete[name], f"{name} was added, but not as it was"
    assert legacy_database.rows("SELECT count(*) FROM users") == [(2,)]


def test_missing_plans_are_added_and_the_others_keep_their_prices(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.run("DELETE FROM plans WHERE name = 'ENTERPRISE'")
    legacy_database.migrate_to_0001()
    assert legacy_database.rows("SELECT name, price_cents FROM plans ORDER BY price_cents") == [
        ("FREE", 0),
        ("PRO", 8900),
        ("BUSINESS", 14900),
        ("ENTERPRISE", 29900),
    ]


def test_an_older_trigger_function_stays_as_it_is_found(legacy_database: ScratchDatabase) -> None:
    legacy_database.run(
        """
        CREATE OR REPLACE FUNCTION update_thread_stats() RETURNS trigger AS $body$
        BEGIN
            UPDATE chat_threads SET message_count = (
                SELECT count(*) FROM chat_messages WHERE thread_id = NEW.thread_id
            ) WHERE id = NEW.thread_id;
            RETURN NEW;
        END;
        $body$ LANGUAGE plpgsql
        """
    )
    before = read_definitions(legacy_database)
    legacy_database.migrate_to_0001()
    assert read_definitions(legacy_database) == before


CONTRADICTIONS = """
    DROP VIEW active_itineraries, user_active_threads;
    ALTER TABLE users ALTER COLUMN created_at TYPE timestamptz,
        ALTER COLUMN stripe_customer_id TYPE varchar(40), ADD COLUMN is_staff text,
        DROP CONSTRAINT users_email_key, DROP CONSTRAINT users_plan_fkey;
    UPDATE users SET email = 'ada@example.org', plan = 'GOLD';
    ALTER TABLE user_usage DROP CONSTRAINT user_usage_pkey,
        DROP CONSTRAINT user_usage_user_id_fkey,
        ADD FOREIGN KEY (user_id) REFERENCES users;
    ALTER TABLE plans DROP COLUMN price_cents;
    ALTER TABLE chat_threads ADD COLUMN thread_messages_count text,
        DROP CONSTRAINT chat_threads_user_id_fkey;
    INSERT INTO chat_threads (user_id, title) VALUES (-1, 'Of nobody'), (-2, 'Of nobody else');
    ALTER TABLE chat_messages DROP CONSTRAINT chat_messages_pkey, ADD PRIMARY KEY (id, role),
        DROP CONSTRAINT chat_messages_thread_id_fkey,
        ADD FOREIGN KEY (thread_id) REFERENCES chat_threads ON DELETE CASCADE
            DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE chat_messages ALTER COLUMN role TYPE text, ALTER COLUMN id DROP DEFAULT;
    DROP TABLE travel_itineraries CASCADE;
    CREATE VIEW travel_itineraries AS SELECT 1 AS id;
    ALTER TABLE feature_usage
        DROP CONSTRAINT feature_usage_user_id_feature_period_start_key;
    INSERT INTO feature_usage (user_id, feature, period_start, period_end)
    SELECT 1, 'map_export', '2026-01-01', '2026-01-31' FROM generate_series(1, 2);
"""
NAMED = (
    "users.created_at: found timestamp with time zone, expected timestamp without time zone",
    "users.stripe_customer_id: found character varying(40), expected character varying(255)",
    "users.is_staff: found text, expected boolean",
    "users (email): found no unique constraint and 1 values that are there twice, expected UNIQUE",
    "users (plan): found no foreign key and 2 rows without their row of plans, expected REFERENCES",
    "user_usage.user_id: found no primary key, expected PRIMARY KEY (user_id)",
    "user_usage.user_id: found FOREIGN KEY (user_id) REFERENCES users(id), expected REFERENCES",
    "plans.price_cents: found no such column in a table that has rows, expected integer NOT NULL",
    "chat_threads.thread_messages_count: found text, expected integer",
    "chat_threads (user_id): found no foreign key and 2 rows without their row of users",
    "chat_messages.id: found PRIMARY KEY (id, role), expected PRIMARY KEY (id)",
    "chat_messages.id: found no default, expected one from a sequence",
    "chat_messages.role: found text, expected character varying(20)",
    "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, expected REFERENCES chat_threads",
    "travel_itineraries: found something that is no table, expected a table",
    "feature_usage (user_id, feature, period_start): found no unique constraint and 1 values",
)


def test_contradictions_are_named_all_at_once_before_anything_is_changed(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.run(CONTRADICTIONS)
    legacy_database.run("DROP INDEX idx_users_is_admin, idx_threads_user")
    before = read_definitions(legacy_database)

    refused = legacy_database.manage("migrate", "--no-input")

    assert refused.returncode == 2
    for line in ("nothing was changed", *NAMED):
        assert line in refused.stderr, f"the error does not say: {line}\n{refused.stderr}"
    assert "Traceback" not in refused.stderr
    assert read_definitions(legacy_database) == before
    assert legacy_database.rows("SELECT to_regclass('django_migrations')::text") == [(None,)]


def test_a_migration_looks_at_its_own_tables_whoever_runs_it(
    legacy_database: ScratchDatabase,
) -> None:
    """The check of all of them is the command's; this one is the migration's."""
    text = "\n".join(
        (PROJECT / path).read_text(encoding="utf-8")
        for path in (
            "sentinel/accounts/migrations/sql/legacy_check.sql",
            "threads/migrations/sql/0001_expected.sql",
        )
    )
    legacy_database.run("ALTER TABLE chat_messages ALTER COLUMN role TYPE text")
    with pytest.raises(ObjectNotInPrerequisiteState, match=r"chat_messages\.role: found text"):
        legacy_database.run(f"BEGIN; {text} SELECT pg_temp.refuse_contradictions()")


def test_the_first_migrations_cannot_be_undone(legacy_database: ScratchDatabase) -> None:
    legacy_database.migrate_to_0001()
    refused = legacy_database.manage("migrate", "--no-input", "threads", "zero")
    assert refused.returncode != 0
    assert "hold production data" in refused.stderr
    assert legacy_database.rows("SELECT count(*) FROM chat_messages") == [(6,)]


@pytest.fixture(params=["made by 0001", "deployed"])
def adopted_database(
    request: pytest.FixtureRequest, scratch_database: ScratchDatabase
) -> ScratchDatabase:
    """A database at 0001: what holds in the deployed system holds in one that we made."""
    if request.param == "deployed":
        scratch_database.run(LEGACY_SCHEMA)
    scratch_database.migrate_to_0001()
    scratch_database.run(
        """
        INSERT INTO users (email, password_hash) VALUES ('ada@example.org', 'x');
        INSERT INTO chat_threads (user_id, title) VALUES (1, 'Lisbon');
        """
    )
    return scratch_database


def test_at_0001_everything_behaves_as_in_the_deployed_system(
    adopted_database: ScratchDatabase,
) -> None:
    add_message = """
        INSERT INTO chat_messages (thread_id, role, content) VALUES (1, 'user', 'Is it safe?')
    """
    usage = """
        SELECT chat_messages_used, last_reset = date_trunc('month', localtimestamp) FROM user_usage
    """
    database = adopted_database

    # The trigger counts, and a first message makes the row of the month.
    database.run("UPDATE chat_threads SET updated_at = '2001-01-01'")
    database.run(add_message)
    database.run(add_message)
    assert database.rows("SELECT message_count, updated_at > '2002-01-01' FROM chat_threads") == [
        (2, True)
    ]
    assert database.rows(usage) == [(2, False)]

    # It counts anew in another month, and not at all where there was never a reset.
    database.run("UPDATE user_usage SET last_reset = last_reset - interval '40 days'")
    database.run(add_message)
    assert database.rows(usage) == [(1, True)]
    database.run("UPDATE user_usage SET last_reset = NULL")
    database.run(add_message)
    assert database.rows(usage) == [(1, None)]

    # It never notices that a message was deleted.
    database.run("DELETE FROM chat_messages WHERE id = (SELECT max(id) FROM chat_messages)")
    assert database.rows("SELECT message_count FROM chat_threads") == [(4,)]

    # Three tables keep updated_at by themselves.
    database.run("INSERT INTO travel_itineraries (user_id, data) VALUES (1, '[]')")
    for table in ("users", "user_usage", "travel_itineraries"):
        database.run(f"UPDATE {table} SET updated_at = '2001-01-01'")
        assert database.rows(f"SELECT updated_at > '2002-01-01' FROM {table}") == [(True,)]

    # The views read what they are named after.
    database.run(
        """
        INSERT INTO chat_threads (user_id, title, is_archived, is_deleted)
        VALUES (1, 'archived', true, false), (1, 'deleted', false, true)
        """
    )
    assert database.rows("SELECT * FROM user_active_threads") == [(1, 2, 1)]
    assert database.rows("SELECT title, user_email FROM active_itineraries") == [
        (None, "ada@example.org")
    ]
    database.run("UPDATE travel_itineraries SET is_deleted = true")
    assert database.rows("SELECT * FROM active_itineraries") == []

    # Whatever a user has goes with the user.
    database.run("DELETE FROM users")
    for table in ("user_usage", "chat_threads", "chat_messages", "travel_itineraries"):
        assert database.rows(f"SELECT count(*) FROM {table}") == [(0,)], f"{table} kept rows"


def test_going_back_to_0001_keeps_who_is_staff_and_their_groups(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.migrate("accounts", "0002")
    legacy_database.run(
        """
        UPDATE users SET is_staff = true, is_superuser = true, last_login = '2026-05-01 12:00+00'
         WHERE email = 'ada@example.org';
        INSERT INTO auth_group (name) VALUES ('support');
        INSERT INTO users_groups (user_id, group_id)
            SELECT users.id, auth_group.id FROM users, auth_group;
        """
    )
    question = """
        SELECT email, is_staff, is_superuser, last_login, auth_group.name
          FROM users
          JOIN users_groups ON users_groups.user_id = users.id
          JOIN auth_group ON auth_group.id = group_id
         ORDER BY email
    """
    before = legacy_database.rows(question)
    assert len(before) == 2

    legacy_database.migrate("accounts", "0001")
    legacy_database.run("INSERT INTO users (email, password_hash) VALUES ('new@example.org', 'z')")
    legacy_database.migrate("accounts", "0002")

    assert legacy_database.rows(question) == before
    assert legacy_database.rows("SELECT count(*) FROM users") == [(3,)]


def test_going_back_to_0001_takes_away_what_holds_nothing(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.migrate_to_0001()
    before = read_definitions(legacy_database)
    legacy_database.migrate("accounts", "0002")
    assert read_definitions(legacy_database) != before
    legacy_database.migrate("accounts", "0001")
    assert read_definitions(legacy_database) == before
    assert legacy_database.rows("SELECT to_regclass('users_groups')::text") == [(None,)]


def test_columns_that_django_needs_but_somebody_else_made_are_refused(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.run("ALTER TABLE users ADD COLUMN last_login text")
    refused = legacy_database.manage("migrate", "--no-input", "accounts", "0002")
    assert refused.returncode != 0
    assert "users.last_login: found text, expected timestamp with time zone" in refused.stderr
