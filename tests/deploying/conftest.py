"""Databases of the deployed system, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.deploying.psql import FORWARD, run_files
from tests.legacy.conftest import LEGACY_SCHEMA

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

FILL = """
    INSERT INTO users (email, password_hash) VALUES ('ada@example.org', 'x'), ('b@c.org', 'y');
    INSERT INTO chat_threads (user_id, title) SELECT id, 'Lisbon' FROM users ORDER BY id;
    INSERT INTO chat_messages (thread_id, role, content)
    SELECT id, 'user', 'Is it safe?' FROM chat_threads, generate_series(1, 3);
    INSERT INTO travel_itineraries (user_id, title, data)
    SELECT id, 'Trip', '{"waypoints": [{"name": "Porto"}]}' FROM users ORDER BY id;
"""
# What years of the existing application leave behind.
YEARS = """
    UPDATE chat_threads SET message_count = message_count + 3 WHERE user_id = 1;
    INSERT INTO chat_threads (user_id, title, message_count) VALUES (1, 'Emptied by hand', NULL);
    INSERT INTO travel_itineraries (user_id, data)
    SELECT 1, data::jsonb FROM (VALUES ('{}'), ('7'), ('{"waypoints": null}'),
           ('{"waypoints": "Rome"}'), ('{"waypoints": [1, 2, 3]}')) AS document (data);
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
    SELECT user_id, 'map_export', uses, month, month + 27
      FROM (VALUES (1, 7), (2, 2), (NULL, 5)) AS used (user_id, uses),
           (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '10 months')::date)
               AS old (month);
"""

# Enough threads that one of them is found by its index, and nothing that the guide's expressions
# stumble over.
CLEAN_DATA = """
    INSERT INTO users (email, password_hash)
    SELECT 'user' || number || '@example.org', 'x' FROM generate_series(1, 3) AS number;
    INSERT INTO chat_threads (user_id, title)
    SELECT 1 + number % 3, 'Lisbon' FROM generate_series(1, 400) AS number;
    INSERT INTO chat_messages (thread_id, role, content)
    SELECT id, 'user', 'Is it safe?' FROM chat_threads, generate_series(1, 3) WHERE id % 4 = 3;
    INSERT INTO travel_itineraries (user_id, data)
    SELECT 1, '{"waypoints": [1, 2, 3]}' FROM generate_series(1, 10);
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
    SELECT 1, 'map_export', 7, month, month + 27
      FROM (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '10 months')::date)
               AS old (month);
    ANALYZE chat_threads;
"""


@pytest.fixture
def production(scratch_database: ScratchDatabase) -> ScratchDatabase:
    """The deployed system's database as it is found: with wrong counts and malformed waypoints."""
    for statements in (LEGACY_SCHEMA, FILL, YEARS):
        scratch_database.run(statements)
    return scratch_database


@pytest.fixture
def deployed(production: ScratchDatabase) -> ScratchDatabase:
    """The same after both files."""
    run_files(production, *FORWARD)
    return production
