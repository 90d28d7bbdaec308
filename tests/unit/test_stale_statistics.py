"""What the planner does not know yet must not make it read a month from end to end.

Its statistics say nothing of a month, or of a feature, that began after they were counted: it then
takes an index on the month alone for as good as the key, and reads all rows of the month.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, LiteralString

import pytest
from django.db import connection

from sentinel.imports import import_records, open_source
from tests.import_files import usage_event, write
from tests.rows import execute
from usage import consume, record
from usage.importing import USAGE_EVENTS
from usage.models import FeatureUsage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db

USERS = 5_000
FEW = 40  # rows of one user and of what surrounds a lookup; a month has USERS

# Half a year that the statistics know, and a month that they do not.
HALF_A_YEAR = """
SET LOCAL session_replication_role = replica;
INSERT INTO users (email, password_hash)
SELECT 'reader' || n || '@example.org', '' FROM generate_series(1, {USERS}) AS n;
INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
SELECT users.id, feature, 1, month, month
  FROM users
 CROSS JOIN unnest(ARRAY['map_export', 'api_access']) AS feature
 CROSS JOIN generate_series(1, 6) AS ago
 CROSS JOIN LATERAL (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC')
                             - make_interval(months => ago))::date AS month) AS past;
ANALYZE feature_usage;
"""
NEW_MONTH = """
INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
SELECT users.id, '{FEATURE}', 1, month, month
  FROM users
 CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month) AS this;
SET LOCAL session_replication_role = origin;
"""
ONE = "(SELECT min(id) FROM users)"
LOOKUPS: dict[str, LiteralString] = {
    "an event by hand": "INSERT INTO feature_usage_events (user_id, feature)"
    f" VALUES ({ONE}, '{{FEATURE}}')",
    "a use that operators count": f"SELECT increment_feature_usage_safe({ONE}, '{{FEATURE}}')",
    "what a user has used of it": f"SELECT get_feature_usage({ONE}, '{{FEATURE}}')",
    "what a user has used of all": f"SELECT * FROM get_user_feature_usage({ONE})",
}


def rows_read(table: str = "feature_usage") -> int:
    """How many rows of a table this transaction has read."""
    [(read,)] = execute(
        "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::integer"
        f" FROM pg_stat_xact_user_tables WHERE relid = 'public.{table}'::regclass"
    )
    return int(read)


@pytest.fixture(params=["map_export", "saved_searches"], ids=["a new month", "and a new feature"])
def feature(request: pytest.FixtureRequest) -> str:
    """Of what the statistics do not know."""
    execute(HALF_A_YEAR.replace("{USERS}", str(USERS)))
    execute(NEW_MONTH.replace("{FEATURE}", request.param))
    return str(request.param)


@pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=LOOKUPS)
def test_a_lookup_reads_the_rows_of_one_user(feature: str, lookup: LiteralString) -> None:
    connection.cursor().execute("DISCARD PLANS")  # as in a new session
    before = rows_read()
    execute(lookup.replace("{FEATURE}", feature))
    assert rows_read() - before < FEW


@pytest.mark.parametrize("use", [record, consume], ids=lambda use: use.__name__)
def test_a_use_reads_the_rows_of_one_user(feature: str, use: object) -> None:
    [(user,)] = execute(f"SELECT {ONE}")
    connection.cursor().execute("DISCARD PLANS")
    before = rows_read()
    assert callable(use)
    use(user_id=user, feature=feature)
    assert rows_read() - before < FEW


def test_an_import_into_a_young_ledger_reads_each_month_a_few_times(tmp_path: Path) -> None:
    """A first import brings years to a table that had one row when it was last counted."""
    [(user,)] = execute(
        "INSERT INTO users (email, password_hash) VALUES ('first@example.org', '') RETURNING id"
    )
    record(user_id=user, feature="map_export")
    execute("ANALYZE feature_usage")
    events = [usage_event(number, user=f"reader{number}@example.org") for number in range(12_000)]
    path = write(tmp_path / "in.jsonl", *events)
    with open_source(str(path)) as source:
        import_records(replace(USAGE_EVENTS, batch_records=4_000), source)
    assert FeatureUsage.objects.count() == 12_001
    assert rows_read() < 10 * len(events)


def test_postgresql_is_told_to_count_the_months_again_soon() -> None:
    [(options,)] = execute("SELECT reloptions FROM pg_class WHERE oid = 'feature_usage'::regclass")
    assert sorted(options) == [
        "autovacuum_analyze_scale_factor=0.01",
        "autovacuum_analyze_threshold=500",
    ]
