"""What others write into the months counts: it becomes an event of the ledger."""

from __future__ import annotations

from typing import LiteralString

import pytest
from django.db import DatabaseError, DataError, IntegrityError, transaction
from psycopg.sql import Identifier

from sentinel.counters import audit_counter, find_counters
from tests.ledger import MARCH, USAGE, adopted, assert_exact, months, sql, use
from tests.rows import new_user
from usage.models import FeatureUsage

pytestmark = pytest.mark.django_db

# As the existing scripts write.
UPSERT = (
    "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
    " VALUES ({user}, 'map_export', {number}, '2026-03-01', '2026-03-31')"
    " ON CONFLICT (user_id, feature, period_start)"
    " DO UPDATE SET usage_count = feature_usage.usage_count + EXCLUDED.usage_count"
)


@pytest.fixture
def user() -> int:
    return new_user()


# -------------------------------------------------------------------------------- what is written


def test_an_upsert_counts_what_it_adds(user: int) -> None:
    for number in (3, 4):
        sql(UPSERT, user=user, number=number)
    use(user, 2)
    sql(UPSERT, user=user, number=5)
    assert months() == [("map_export", MARCH, 14)]
    assert adopted() == [(MARCH, 3), (MARCH, 4), (MARCH, 5)]
    assert_exact()


def test_a_row_counts_as_one_use_where_no_number_is_given(user: int) -> None:
    sql(
        "INSERT INTO feature_usage (user_id, feature, period_start, period_end)"
        " VALUES ({user}, 'map_export', '2026-03-01', '2026-03-31')",
        user=user,
    )
    assert (months(), adopted()) == ([("map_export", MARCH, 1)], [(MARCH, 1)])
    assert_exact()


def test_rows_of_one_insert_count_each_in_its_own_month(user: int) -> None:
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " SELECT {user}, 'map_export', n, '2026-01-01'::date + make_interval(months => n),"
        " '2026-01-31'::date + make_interval(months => n) FROM generate_series(0, 3) AS n",
        user=user,
    )
    assert [count for *_, count in months()] == [0, 1, 2, 3]
    assert adopted() == [("2026-02-01", 1), (MARCH, 2), ("2026-04-01", 3)]
    assert_exact()


@pytest.mark.parametrize(
    ("assigned", "number", "difference"),
    [
        ("usage_count + 1", 6, 1),
        ("usage_count - 2", 3, -2),
        ("0", 0, -5),
        ("NULL", 0, -5),
        ("-1", -1, -6),
        ("5", 5, None),
    ],
)
def test_an_update_counts_the_difference(
    user: int, assigned: LiteralString, number: int, difference: int | None
) -> None:
    use(user, 5)
    sql("UPDATE feature_usage SET usage_count = " + assigned)
    assert months() == [("map_export", MARCH, number)]
    assert adopted() == ([] if difference is None else [(MARCH, difference)])
    assert_exact()


def test_an_inserted_null_counts_as_none(user: int) -> None:
    sql(UPSERT, user=user, number=None)
    assert (months(), adopted()) == ([("map_export", MARCH, 0)], [])
    assert_exact()


def test_an_adopted_event_says_who_wrote_it(user: int) -> None:
    sql(UPSERT, user=user, number=1)
    assert sql(
        "SELECT source, reason = 'written by ' || session_user FROM feature_usage_events"
    ) == [("adopted", True)]


def test_a_merge_counts_like_an_insert_and_an_update(user: int) -> None:
    use(user, 5)
    sql(
        "MERGE INTO feature_usage AS m USING (VALUES ('map_export'), ('api_access')) AS f (name)"
        " ON m.user_id = {user} AND m.feature = f.name AND m.period_start = '2026-03-01'"
        " WHEN MATCHED THEN UPDATE SET usage_count = m.usage_count + 1"
        " WHEN NOT MATCHED THEN INSERT (user_id, feature, usage_count, period_start, period_end)"
        " VALUES ({user}, f.name, 7, '2026-03-01', '2026-03-31')",
        user=user,
    )
    assert months() == [("api_access", MARCH, 7), ("map_export", MARCH, 6)]
    assert_exact()


def test_a_number_beyond_the_column_is_refused(user: int) -> None:
    use(user, 2**31 - 1)
    with pytest.raises(DataError, match="out of range"), transaction.atomic():
        sql("UPDATE feature_usage SET usage_count = usage_count + 1")
    assert_exact()


def test_what_a_savepoint_takes_back_is_not_adopted(user: int) -> None:
    with transaction.atomic():
        sql(UPSERT, user=user, number=4)
        transaction.set_rollback(True)
    sql(UPSERT, user=user, number=1)
    assert adopted() == [(MARCH, 1)]
    assert_exact()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
def test_what_is_adopted_stays_in_the_month_that_it_was_written_into(user: int, zone: str) -> None:
    sql("SET LOCAL TIME ZONE {zone}", zone=zone)
    sql(UPSERT, user=user, number=2)
    assert adopted() == [(MARCH, 2)]
    assert_exact()


def test_a_month_that_begins_in_the_middle_keeps_its_key(user: int) -> None:
    """The existing schema does not ask for the first."""
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES ({user}, 'map_export', 2, '2026-03-10', '2026-03-31')",
        user=user,
    )
    assert adopted() == [("2026-03-10", 2)]
    assert_exact()


# ---------------------------------------------------------------------------------- Django's way


def test_a_stale_save_takes_back_what_was_counted_meanwhile(user: int) -> None:
    """It cannot be told from a number that is meant so: the ledger shows who took it back.

    Whoever means to save another column says so, by `update_fields`.
    """
    use(user, 2)
    stale = FeatureUsage.objects.get()
    use(user, 3)
    stale.save()
    assert months() == [("map_export", MARCH, 2)]
    assert adopted() == [(MARCH, -3)]
    assert_exact()
    stale.refresh_from_db()
    use(user, 3)
    stale.save(update_fields=["period_end"])
    assert months() == [("map_export", MARCH, 5)]


def test_the_orms_own_writes_are_adopted_too(user: int) -> None:
    month = FeatureUsage.objects.create(
        user_id=user,
        feature="map_export",
        usage_count=2,
        period_start="2026-03-01",
        period_end="2026-03-31",
    )
    FeatureUsage.objects.filter(pk=month.pk).update(usage_count=7)
    assert adopted() == [(MARCH, 2), (MARCH, 5)]
    assert_exact()


# --------------------------------------------------------------------------- a row and its events


@pytest.mark.parametrize(
    "deletion", ["DELETE FROM feature_usage WHERE feature = 'map_export'", "TRUNCATE feature_usage"]
)
def test_a_row_takes_its_events_along(user: int, deletion: LiteralString) -> None:
    use(user, 2)
    sql(UPSERT, user=user, number=3)
    use(user, 4, feature="api_access")
    sql(deletion)
    left = [] if deletion.startswith("TRUNCATE") else [("api_access", MARCH, 4)]
    assert months() == left
    assert sql("SELECT count(*) FROM feature_usage_events") == [(len(left),)]
    assert_exact()
    use(user)
    assert ("map_export", MARCH, 1) in months()
    assert_exact()


@pytest.mark.parametrize(
    "change",
    [
        "user_id = {other}",
        "user_id = NULL",
        "feature = 'api_access'",
        "period_start = '2026-04-01'",
        "feature = 'api_access', usage_count = 9",
    ],
)
def test_the_key_of_a_month_cannot_be_changed(user: int, change: LiteralString) -> None:
    use(user, 2)
    with pytest.raises(IntegrityError, match="the key of a row of feature_usage cannot be changed"):
        sql("UPDATE feature_usage SET " + change, other=new_user())


@pytest.mark.parametrize("name", ["a_meddler", "zzz_meddler"])
@pytest.mark.parametrize(
    "usage",
    [
        "UPDATE feature_usage SET usage_count = usage_count + 1",
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " SELECT user_id, feature, occurred_at FROM feature_usage_events",
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " SELECT user_id, unnest(ARRAY[feature, 'chat_export_pdf']), occurred_at"
        " FROM feature_usage_events",
        "DELETE FROM feature_usage_events WHERE id = (SELECT min(id) FROM feature_usage_events)",
    ],
    ids=["written by others", "one month", "two months", "an event deleted"],
)
def test_a_trigger_of_others_cannot_change_the_key_either(
    user: int, usage: LiteralString, name: str
) -> None:
    use(user, 2)
    use(user, 1)
    sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.feature := 'api_access'; RETURN NEW; END $$"
    )
    sql(
        "CREATE TRIGGER {name} BEFORE UPDATE ON feature_usage"
        " FOR EACH ROW EXECUTE FUNCTION meddle()",
        name=Identifier(name),
    )
    with pytest.raises(DatabaseError, match=r"cannot be changed|has given a row another key"):
        sql(usage)


def test_rows_of_nobody_are_left_alone(user: int) -> None:
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES (NULL, 'map_export', 3, '2026-03-01', '2026-03-31'),"
        " (NULL, 'map_export', NULL, '2026-03-01', '2026-03-31'),"
        " ({user}, 'x', 1, {march}, {march})",
        user=user,
        march=MARCH,
    )
    sql("UPDATE feature_usage SET usage_count = usage_count + 1 WHERE user_id IS NULL")
    assert sql("SELECT usage_count FROM feature_usage WHERE user_id IS NULL ORDER BY 1") == [
        (4,),
        (None,),
    ]
    assert adopted() == [(MARCH, 1)]
    [counter] = find_counters([USAGE])
    assert audit_counter(counter).rows_checked == 1
    sql("TRUNCATE feature_usage_events")
    assert (None,) in sql("SELECT usage_count FROM feature_usage")
    sql("DELETE FROM feature_usage WHERE user_id IS NULL")
    assert_exact()


# ------------------------------------------------------------------------ events and months in one

# Each begins with a month of 5 that {user} has used.
IN_ONE_STATEMENT: dict[str, tuple[LiteralString, int | None]] = {
    "an event and an addition": (
        "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-20Z'))"
        " UPDATE feature_usage SET usage_count = usage_count + 10",
        16,
    ),
    "an event that the addition reads": (
        "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-20Z') RETURNING user_id)"
        " UPDATE feature_usage SET usage_count = usage_count + 10 FROM added"
        " WHERE added.user_id = feature_usage.user_id",
        16,
    ),
    "a deleted event and an addition": (
        "WITH gone AS (DELETE FROM feature_usage_events)"
        " UPDATE feature_usage SET usage_count = usage_count + 10",
        10,
    ),
    "an event and an upsert": (
        "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-20Z'))"
        " INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES ({user}, 'map_export', 10, '2026-03-01', '2026-03-31')"
        " ON CONFLICT (user_id, feature, period_start)"
        " DO UPDATE SET usage_count = feature_usage.usage_count + EXCLUDED.usage_count",
        16,
    ),
    "an event and the deletion of its month": (
        "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-20Z'))"
        " DELETE FROM feature_usage",
        None,
    ),
    "an event that the deletion of its month reads": (
        "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-20Z') RETURNING user_id)"
        " DELETE FROM feature_usage USING added WHERE added.user_id = feature_usage.user_id",
        None,
    ),
    "the deletion of a month, read by its event": (
        "WITH gone AS (DELETE FROM feature_usage RETURNING user_id)"
        " INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " SELECT user_id, 'map_export', '2026-03-20Z' FROM gone",
        None,
    ),
    "a month in the place of itself": (
        "WITH gone AS (DELETE FROM feature_usage RETURNING user_id)"
        " INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " SELECT user_id, 'map_export', 3, '2026-03-01', '2026-03-31' FROM gone",
        None,
    ),
    "the deletion of events and of their month": (
        "WITH gone AS (DELETE FROM feature_usage_events) DELETE FROM feature_usage",
        None,
    ),
}


@pytest.mark.parametrize(
    ("statement", "number"), IN_ONE_STATEMENT.values(), ids=IN_ONE_STATEMENT.keys()
)
def test_events_and_months_written_in_one_statement_agree(
    user: int, statement: LiteralString, number: int | None
) -> None:
    use(user, 2)
    use(user, 3)
    sql(statement, user=user)
    assert_exact()
    if number is not None:
        assert months() == [("map_export", MARCH, number)]
    use(user)
    assert_exact()


# --------------------------------------------------------------------------------- what is touched


@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-15Z')",
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " SELECT {user}, unnest(ARRAY['map_export', 'api_access']), '2026-03-15Z'",
        "DELETE FROM feature_usage_events",
        "TRUNCATE feature_usage_events",
        "UPDATE feature_usage SET usage_count = usage_count + 1",
        "UPDATE feature_usage SET period_end = '2026-03-30'",
    ],
)
def test_updated_at_moves_at_every_write(user: int, write: LiteralString) -> None:
    use(user, 2)
    sql("SET LOCAL session_replication_role = replica")
    sql("UPDATE feature_usage SET updated_at = '2001-01-01Z'")
    sql("SET LOCAL session_replication_role = origin")
    sql(write, user=user)
    assert sql("SELECT updated_at = now() FROM feature_usage WHERE feature = 'map_export'") == [
        (True,)
    ]


# ----------------------------------------------------------------------------- the repair's setting


@pytest.mark.parametrize("number", [99, 0, -1, None])
def test_a_session_that_claims_to_repair_stores_the_truth(user: int, number: int | None) -> None:
    use(user, 2)
    sql("SET LOCAL sentinel.repair = 'on'")
    sql("UPDATE feature_usage SET usage_count = {number}", number=number)
    sql(UPSERT.replace("map_export", "api_access"), user=user, number=number)
    assert months() == [("api_access", MARCH, 0), ("map_export", MARCH, 2)]
    assert adopted() == []
    use(user, 3)
    use(user, 4, feature="api_access")
    assert months() == [("api_access", MARCH, 4), ("map_export", MARCH, 5)]
    assert_exact()


@pytest.mark.parametrize("depth", ["0", "1", "2", "on"])
def test_a_session_that_claims_to_be_the_engine_is_adopted_all_the_same(
    user: int, depth: str
) -> None:
    sql("SELECT set_config('sentinel.engine', {depth}, true)", depth=depth)
    use(user, 2)
    sql(UPSERT, user=user, number=3)
    sql("UPDATE feature_usage SET usage_count = usage_count + 10")
    assert months() == [("map_export", MARCH, 15)]
    assert adopted() == [(MARCH, 3), (MARCH, 10)]
    assert_exact()
