"""Events are all that it takes to count, however they are written."""

from __future__ import annotations

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from sentinel.accounts.models import User
from tests.ledger import MARCH, adopted, assert_exact, months, sql, use
from tests.rows import new_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> int:
    return new_user()


# ----------------------------------------------------------------------------------- appending


def test_an_event_alone_makes_its_month(user: int) -> None:
    sql(
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'map_export', '2026-03-15Z')",
        user=user,
    )
    assert sql(
        "SELECT user_id, feature, usage_count, period_start::text, period_end::text,"
        " created_at IS NOT NULL, updated_at IS NOT NULL FROM feature_usage"
    ) == [(user, "map_export", 1, "2026-03-01", "2026-03-31", True, True)]
    assert_exact()


def test_further_events_add_their_quantities(user: int) -> None:
    use(user, 2)
    use(user, 5)
    assert months() == [("map_export", MARCH, 7)]
    assert_exact()


def test_copied_events_count_in_the_months_of_their_keys(user: int) -> None:
    other = new_user()
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY feature_usage_events (user_id, feature, quantity, occurred_at) FROM STDIN"
        ) as copy,
    ):
        for number in range(1, 31):
            owner, feature = (user, other)[number % 2], ("map_export", "api_access")[number % 3 % 2]
            copy.write_row((owner, feature, number, "2026-03-15T00:00:00Z"))
    assert sum(count for *_, count in months()) == sum(range(1, 31))
    assert len(months()) == 4
    assert_exact()


def test_one_statement_makes_some_months_and_adds_to_others(user: int) -> None:
    use(user, 10)
    sql(
        "INSERT INTO feature_usage_events (user_id, feature, quantity, occurred_at)"
        " SELECT {user}, feature, 2, ('2026-0' || month || '-15Z')::timestamptz"
        " FROM unnest(ARRAY['map_export', 'api_access']) AS feature,"
        " generate_series(1, 4) AS month, generate_series(1, 3) ORDER BY random()",
        user=user,
    )
    assert [count for *_, count in months()] == [6, 6, 6, 6, 6, 6, 16, 6]
    assert_exact()


def test_an_event_whose_key_was_used_is_not_counted(user: int) -> None:
    for _ in range(2):
        sql(
            "INSERT INTO feature_usage_events (user_id, feature, occurred_at, idempotency_key)"
            " VALUES ({user}, 'map_export', '2026-03-15Z', 'one'),"
            " ({user}, 'map_export', '2026-03-15Z', 'one'),"
            " ({user}, 'api_access', '2026-03-15Z', 'two') ON CONFLICT DO NOTHING",
            user=user,
        )
    assert months() == [("api_access", MARCH, 1), ("map_export", MARCH, 1)]
    assert_exact()


def test_a_key_that_was_used_is_refused_without_on_conflict(user: int) -> None:
    insert = (
        "INSERT INTO feature_usage_events (user_id, feature, idempotency_key)"
        " VALUES ({user}, {feature}, 'one')"
    )
    sql(insert, user=user, feature="map_export")
    with pytest.raises(IntegrityError, match="feature_usage_events_key"), transaction.atomic():
        sql(insert, user=user, feature="api_access")
    assert [count for *_, count in months()] == [1]


def test_an_insert_of_no_events_changes_nothing() -> None:
    sql("INSERT INTO feature_usage_events (user_id, feature) SELECT 1, 'x' WHERE false")
    assert months() == []


def test_what_a_savepoint_takes_back_is_not_counted(user: int) -> None:
    use(user)
    for feature in ("map_export", "api_access"):
        with transaction.atomic():
            use(user, 5, feature=feature)
            transaction.set_rollback(True)
    assert months() == [("map_export", MARCH, 1)]
    assert_exact()


def test_an_event_of_nobody_is_refused() -> None:
    with pytest.raises(IntegrityError, match="feature_usage_user_id_fkey"), transaction.atomic():
        use(999_999)
    assert sql("SELECT count(*) FROM feature_usage_events") == [(0,)]


def test_a_sum_beyond_its_column_is_refused(user: int) -> None:
    use(user, 2**31 - 1)
    with pytest.raises(DataError, match="out of range"), transaction.atomic():
        use(user)
    assert months() == [("map_export", MARCH, 2**31 - 1)]
    assert_exact()


@pytest.mark.parametrize("quantities", [(-3,), (-1, -1, -1), (4, -7), (-7, 4)])
def test_a_correction_takes_from_its_month(user: int, quantities: tuple[int, ...]) -> None:
    use(user, 10)
    sql(
        "INSERT INTO feature_usage_events (user_id, feature, quantity, reason, occurred_at)"
        " SELECT {user}, 'map_export', quantity, 'counted twice', '2026-03-20Z'"
        " FROM unnest({quantities}::int[]) AS quantity",
        user=user,
        quantities=f"{{{','.join(map(str, quantities))}}}",
    )
    assert months() == [("map_export", MARCH, 7)]
    assert_exact()


def test_a_correction_without_a_reason_is_refused(user: int) -> None:
    use(user, 10)
    with pytest.raises(IntegrityError, match="feature_usage_events_quantity"):
        use(user, -1)


@pytest.mark.parametrize("others", ["", ", ({user}, 'map_export', 1, NULL, '2026-03-15Z')"])
def test_a_correction_of_what_is_not_there_is_refused(user: int, others: str) -> None:
    with pytest.raises(IntegrityError, match="nothing in feature_usage that a negative quantity"):
        sql(
            "INSERT INTO feature_usage_events (user_id, feature, quantity, reason, occurred_at)"
            " VALUES ({user}, 'api_access', -1, 'given back', '2026-03-15Z')" + others,
            user=user,
        )


# ------------------------------------------------------------------------------ the ledger only


@pytest.mark.parametrize(
    "change", ["quantity = 2", "feature = 'api_access'", "occurred_at = now()", "reason = 'x'"]
)
def test_an_event_cannot_be_changed(user: int, change: str) -> None:
    use(user)
    with pytest.raises(IntegrityError, match="an event of feature_usage_events cannot be changed"):
        sql("UPDATE feature_usage_events SET " + change)


def test_deleted_events_are_taken_from_their_months(user: int) -> None:
    use(user, 2)
    use(user, 3, feature="api_access")
    use(user, 4, feature="api_access")
    sql("DELETE FROM feature_usage_events WHERE quantity IN (2, 3)")
    assert months() == [("api_access", MARCH, 4), ("map_export", MARCH, 0)]
    assert_exact()


def test_a_truncated_ledger_leaves_every_month_at_zero(user: int) -> None:
    use(user, 2)
    use(user, 3, feature="api_access")
    sql("TRUNCATE feature_usage_events")
    assert [count for *_, count in months()] == [0, 0]
    assert_exact()


# ---------------------------------------------------------------------------------- which month


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu", "UTC"])
@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ("2026-03-01 00:00:00+00", "2026-03-01", "2026-03-31"),
        ("2026-02-28 23:59:59.999999+00", "2026-02-01", "2026-02-28"),
        ("2026-03-31 23:59:59+00", "2026-03-01", "2026-03-31"),
        ("2026-04-01 08:59:59+09", "2026-03-01", "2026-03-31"),
        ("2024-02-29 23:59:59+00", "2024-02-01", "2024-02-29"),
        ("2025-12-31 14:00:00-10", "2026-01-01", "2026-01-31"),
    ],
)
def test_a_month_is_one_in_utc_whatever_the_sessions_time_zone(
    user: int, zone: str, moment: str, first: str, last: str
) -> None:
    sql("SET LOCAL TIME ZONE {zone}", zone=zone)
    use(user, at=moment)
    assert sql("SELECT period_start::text, period_end::text FROM feature_usage") == [(first, last)]
    assert_exact()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
def test_an_event_without_a_time_counts_in_the_present_month_in_utc(user: int, zone: str) -> None:
    sql("SET LOCAL TIME ZONE {zone}", zone=zone)
    sql("INSERT INTO feature_usage_events (user_id, feature) VALUES ({user}, 'x')", user=user)
    assert sql(
        "SELECT period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date"
        " FROM feature_usage"
    ) == [(True,)]


# ------------------------------------------------------------------------ together with its user


@pytest.mark.parametrize("way", ["the ORM", "SQL"])
def test_a_user_takes_months_and_events_along(user: int, way: str) -> None:
    stays = new_user()
    for owner in (user, stays):
        use(owner, 2)
        use(owner, 3, feature="api_access")
    if way == "SQL":
        sql("DELETE FROM users WHERE id = {user}", user=user)
    else:
        User.objects.get(pk=user).delete()
    for table in ("feature_usage", "feature_usage_events"):
        assert sql(f"SELECT DISTINCT user_id FROM {table}") == [(stays,)]
    assert_exact()


# ----------------------------------------------------------------------------------- in the way


def test_a_temporary_table_of_the_same_name_swallows_nothing(user: int) -> None:
    sql("CREATE TEMPORARY TABLE feature_usage (LIKE public.feature_usage) ON COMMIT DROP")
    use(user, 2)
    assert sql("SELECT usage_count FROM public.feature_usage") == [(2,)]
    sql("DROP TABLE pg_temp.feature_usage")
    assert_exact()


def test_what_somebody_elses_trigger_writes_into_a_month_is_adopted(user: int) -> None:
    sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE feature_usage SET usage_count = usage_count + 10; RETURN NULL; END $$"
    )
    sql(
        "CREATE TRIGGER zzz_meddle AFTER INSERT ON feature_usage_events"
        " FOR EACH ROW WHEN (NOT NEW.adopted) EXECUTE FUNCTION meddle()"
    )
    use(user)
    use(user)
    assert sum(quantity for _, quantity in adopted()) in {10, 20}
    assert_exact()


def test_a_month_that_somebody_elses_trigger_keeps_back_is_an_error(user: int) -> None:
    sql(
        "CREATE FUNCTION keep_back() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$"
    )
    sql(
        "CREATE TRIGGER keep_back BEFORE INSERT ON feature_usage"
        " FOR EACH ROW EXECUTE FUNCTION keep_back()"
    )
    many = (
        "INSERT INTO feature_usage_events (user_id, feature)"
        " SELECT {user}, feature FROM unnest({features}::text[]) AS feature"
    )
    for features in ("{map_export}", "{map_export,api_access}"):
        with (
            pytest.raises(Exception, match="kept the sum from being written"),
            transaction.atomic(),
        ):
            sql(many, user=user, features=features)
    assert months() == []
