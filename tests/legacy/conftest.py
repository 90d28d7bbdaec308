"""A database of the deployed system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

LEGACY_SCHEMA = Path(__file__).with_name("legacy_schema.sql").read_text(encoding="utf-8")


@pytest.fixture
def legacy_database(scratch_database: ScratchDatabase) -> ScratchDatabase:
    """The deployed system's database, with a little of everything in it."""
    scratch_database.run(LEGACY_SCHEMA)
    scratch_database.run(
        """
        INSERT INTO users (email, password_hash) VALUES ('ada@example.org', 'x'), ('b@c.org', 'y');
        INSERT INTO chat_threads (user_id, title) SELECT id, 'Lisbon' FROM users;
        INSERT INTO chat_messages (thread_id, role, content)
            SELECT id, 'user', 'Is it safe?' FROM chat_threads, generate_series(1, 3);
        INSERT INTO travel_itineraries (user_id, title, data)
            SELECT id, 'Trip', '{"waypoints": [{"name": "Porto"}]}' FROM users;
        UPDATE plans SET price_cents = 8900 WHERE name = 'PRO';
        """
    )
    return scratch_database
