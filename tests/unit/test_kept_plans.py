"""A trigger's plan is kept for the session: one made for a bulk statement must do for a single row.

A plan that joins a transition table is made for the number of rows of the first statement. After a
bulk insert it would read the whole table for every row that follows.
"""

from __future__ import annotations

import pytest

from tests.rows import execute

ROWS = 3_000  # enough that the planner prefers to read the whole table for a bulk statement

FILL = """
INSERT INTO users (email, password_hash)
SELECT 'reader' || n || '@example.org', '' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO chat_threads (user_id, title) SELECT id, 'Rome' FROM users;
"""
ADD_MESSAGES = "INSERT INTO chat_messages (thread_id, role, content) SELECT id, 'user', 'Hi' FROM"
ADD_EVENTS = "INSERT INTO feature_usage_events (user_id, feature) SELECT id, 'map_export' FROM"
ONE_USER = "(SELECT id FROM users ORDER BY id LIMIT 1) AS one"

# The bulk statement, then what is done to one row, and the tables that it must not read.
STATEMENTS = {
    "messages": (
        f"{ADD_MESSAGES} chat_threads",
        f"{ADD_MESSAGES} (SELECT id FROM chat_threads ORDER BY id LIMIT 1) AS one",
    ),
    "events": (f"{ADD_EVENTS} users", f"{ADD_EVENTS} {ONE_USER}"),
    "deleted months": (
        f"{ADD_EVENTS} users; DELETE FROM feature_usage; {ADD_EVENTS} users",
        f"DELETE FROM feature_usage WHERE user_id = (SELECT id FROM {ONE_USER})",
    ),
}
TABLES = ("chat_threads", "feature_usage", "feature_usage_events")


def tables_read_whole() -> dict[str, int]:
    """How often this transaction has read each of the tables from end to end."""
    rows = execute(
        "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'public'"
    )
    return {table: scans for table, scans in rows if table in TABLES}


@pytest.mark.parametrize(("bulk", "single"), STATEMENTS.values(), ids=STATEMENTS)
@pytest.mark.django_db
def test_after_a_bulk_statement_a_single_row_reads_no_table_from_end_to_end(
    bulk: str, single: str
) -> None:
    execute(FILL.replace("{ROWS}", str(ROWS)))
    execute(bulk)
    for table in TABLES:
        execute(f"ANALYZE {table}")  # plans are made anew, as in a new session
    execute(bulk)
    before = tables_read_whole()
    execute(single)
    assert tables_read_whole() == before
