"""The months of the deployed system become a ledger, and nothing that was used is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

# A month that was counted, one with nothing in it, one that is NULL, and one of nobody.
USED = """
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
    SELECT id, feature, number, '2026-01-01', '2026-01-31'
      FROM users, (VALUES ('map_export', 7), ('api_access', 0), ('saved_searches', NULL))
           AS counted (feature, number)
     WHERE email = 'ada@example.org';
    INSERT INTO feature_usage (feature, usage_count, period_start, period_end)
    VALUES ('map_export', 5, '2026-01-01', '2026-01-31');
"""
ADA = "(SELECT id FROM users WHERE email = 'ada@example.org')"
UPSERT = f"""
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
    VALUES ({ADA}, 'map_export', 3, '2026-01-01', '2026-01-31')
        ON CONFLICT (user_id, feature, period_start)
        DO UPDATE SET usage_count = feature_usage.usage_count + EXCLUDED.usage_count
"""
MONTHS = "SELECT feature, usage_count FROM feature_usage WHERE user_id IS NOT NULL ORDER BY feature"
EVENTS = (
    "SELECT feature, quantity, source, adopted, period_start::text FROM feature_usage_events"
    " ORDER BY id"
)
THIS_MONTH = "period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date"


@pytest.fixture
def used(legacy_database: ScratchDatabase) -> ScratchDatabase:
    """The deployed system's database, with some usage."""
    legacy_database.run(USED)
    return legacy_database


@pytest.fixture
def taken_over(used: ScratchDatabase) -> ScratchDatabase:
    used.migrate()
    return used


def assert_exact(database: ScratchDatabase) -> None:
    done = database.manage("audit_counters", "--format", "json")
    assert done.returncode == 0, done.stdout
    assert "feature_usage.usage_count" in {
        c["counter"] for c in json.loads(done.stdout)["counters"]
    }


def test_what_the_months_hold_becomes_opening_events(taken_over: ScratchDatabase) -> None:
    assert taken_over.rows(MONTHS) == [("api_access", 0), ("map_export", 7), ("saved_searches", 0)]
    assert taken_over.rows(EVENTS) == [("map_export", 7, "opening", True, "2026-01-01")]
    assert taken_over.rows("SELECT usage_count FROM feature_usage WHERE user_id IS NULL") == [(5,)]
    assert_exact(taken_over)


def test_what_existing_writers_count_after_the_takeover_is_adopted(
    taken_over: ScratchDatabase,
) -> None:
    for write in (
        UPSERT,
        f"UPDATE feature_usage SET usage_count = usage_count - 4 WHERE user_id = {ADA}"
        " AND feature = 'map_export'",
        f"SELECT increment_feature_usage({ADA}, 'route_analysis') FROM generate_series(1, 3)",
    ):
        taken_over.run(write)
    assert taken_over.rows(MONTHS)[1:3] == [("map_export", 6), ("route_analysis", 3)]
    assert taken_over.rows(EVENTS)[1:3] == [
        ("map_export", 3, "adopted", True, "2026-01-01"),
        ("map_export", -4, "adopted", True, "2026-01-01"),
    ]
    assert (
        taken_over.rows(
            f"SELECT {THIS_MONTH} FROM feature_usage_events WHERE feature = 'route_analysis'"
        )
        == [(True,)] * 3
    )
    assert_exact(taken_over)


def test_a_second_takeover_adopts_what_was_written_in_between(taken_over: ScratchDatabase) -> None:
    taken_over.run(
        f"INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at)"
        f" VALUES ({ADA}, 'map_export', 2, '2026-01-15Z'), ({ADA}, 'team_users', 4, '2026-01-15Z'),"
        f" ({ADA}, 'analyst_access', 1, '2026-01-15Z')"
    )
    taken_over.migrate("usage", "0001")
    taken_over.run(UPSERT)
    taken_over.run("UPDATE feature_usage SET usage_count = 1 WHERE feature = 'team_users'")
    taken_over.run("DELETE FROM feature_usage WHERE feature = 'analyst_access'")
    taken_over.run(f"SELECT increment_feature_usage({ADA}, 'route_analysis')")
    taken_over.migrate()
    assert taken_over.rows(MONTHS) == [
        ("api_access", 0),
        ("map_export", 12),
        ("route_analysis", 1),
        ("saved_searches", 0),
        ("team_users", 1),
    ]
    assert taken_over.rows(EVENTS)[1:5] == [
        ("map_export", 2, "direct", False, "2026-01-01"),
        ("team_users", 4, "direct", False, "2026-01-01"),
        ("map_export", 3, "opening", True, "2026-01-01"),
        ("team_users", -3, "opening", True, "2026-01-01"),
    ]
    assert_exact(taken_over)


def test_going_back_keeps_the_ledger_and_the_next_takeover_opens_nothing_twice(
    taken_over: ScratchDatabase,
) -> None:
    before = taken_over.rows(EVENTS), taken_over.rows(MONTHS)
    taken_over.migrate("usage", "0001")
    assert (taken_over.rows(EVENTS), taken_over.rows(MONTHS)) == before
    taken_over.migrate()
    assert (taken_over.rows(EVENTS), taken_over.rows(MONTHS)) == before
    assert_exact(taken_over)


def test_a_role_without_rights_on_the_ledger_counts_all_the_same(
    taken_over: ScratchDatabase,
) -> None:
    role = f"existing_{taken_over.name}"
    taken_over.run(f"CREATE ROLE {role}")
    try:
        taken_over.run(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON users, feature_usage TO {role};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
        )
        with taken_over.connect() as writer:
            writer.execute(f"SET ROLE {role}".encode())
            writer.execute(UPSERT.encode())
            writer.execute(f"SELECT increment_feature_usage({ADA}, 'map_export')".encode())
            writer.execute(b"UPDATE feature_usage SET usage_count = 4 WHERE usage_count = 0")
            writer.execute(b"DELETE FROM feature_usage WHERE feature = 'api_access'")
        assert_exact(taken_over)
        assert taken_over.rows(
            "SELECT DISTINCT reason LIKE 'written by %' FROM feature_usage_events"
            " WHERE source = 'adopted'"
        ) == [(True,)]
    finally:
        taken_over.run(f"DROP OWNED BY {role}; DROP ROLE {role}")
