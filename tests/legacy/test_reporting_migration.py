"""The tables of the reports on a database that has usage already, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

USE = """
INSERT INTO users (id, email, password_hash, plan) VALUES (1, 'ada@example.org', '', 'PRO');
INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at)
VALUES (1, 'map_export', 2, '2025-03-04 12:00Z'), (1, 'map_export', 3, '2025-05-06 12:00Z');
INSERT INTO feature_usage_refusals (day, user_id, feature, plan, refusals, last_at)
VALUES ('2025-05-06', 1, 'api_access', 'PRO', 7, now());
"""
DAYS = "SELECT day::text, plan, uses FROM feature_usage_days ORDER BY day"


def test_the_migration_counts_the_months_that_are_there_and_its_tables_stay_on_the_way_back(
    scratch_database: ScratchDatabase,
) -> None:
    scratch_database.migrate()
    scratch_database.run(USE)
    assert scratch_database.rows(DAYS) == []
    scratch_database.migrate("usage", "0004")
    assert scratch_database.rows("SELECT refusals FROM feature_usage_refusals") == [(7,)]
    scratch_database.migrate("usage")
    assert scratch_database.rows(DAYS) == [("2025-03-04", "PRO", 2), ("2025-05-06", "PRO", 3)]
    assert scratch_database.rows("SELECT refusals FROM feature_usage_refusals") == [(7,)]
