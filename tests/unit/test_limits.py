"""What a user is allowed: by plan, by override, and what trial and time make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction

from sentinel.accounts.factories import UserFactory
from sentinel.accounts.models import Plan, User
from tests.price_list import CELLS, PLANS, Cell
from usage import (
    FEATURES,
    FeatureStanding,
    InvalidUsageError,
    Per,
    UnknownUserError,
    consume,
    counts,
    limits_for,
    record,
    register_count,
    usage_for,
)
from usage.factories import LimitOverrideFactory
from usage.limit_models import LimitOverride, PlanLimit, PlanTrial

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def make_user(plan: str | None = "PRO", **values: Any) -> User:
    return UserFactory.create(plan_id=plan, **values)


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def limit_of(user: User, feature: str, now: datetime = NOW) -> int | None:
    return limits_for(user_id=user.pk, now=now)[feature].limit


def standing(user: User, feature: str, now: datetime = NOW) -> FeatureStanding:
    return usage_for(user_id=user.pk, now=now)[feature]


# ------------------------------------------------------------------------------- the price list


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_plan_allows_what_the_price_list_says(cell: Cell) -> None:
    found = limits_for(user_id=make_user(cell.plan).pk, now=NOW)[cell.feature]
    assert (found.plan, found.limit, found.per, found.tier, found.overridden) == (
        cell.plan,
        cell.limit,
        cell.per,
        cell.tier,
        False,
    )
    assert found.included == (cell.limit != 0)


def test_every_row_of_the_price_list_can_be_saved_in_the_admin() -> None:
    for row in PlanLimit.objects.all():
        row.full_clean()
    assert PlanLimit.objects.count() == len(CELLS) == len(FEATURES) * len(PLANS)


def test_a_plan_can_be_tried_for_as_long_as_the_price_list_says() -> None:
    days = dict(PlanTrial.objects.values_list("plan_id", "days"))
    assert days == {"PRO": 7, "BUSINESS": 7, "ENTERPRISE": 14}


def test_a_user_without_a_plan_has_the_free_one() -> None:
    user = make_user(None)
    assert limits_for(user_id=user.pk)["chat_messages_monthly"].plan == "FREE"
    assert limits_for(user_id=user.pk) == limits_for(user_id=make_user("FREE").pk)


def test_a_plan_without_rows_allows_nothing() -> None:
    Plan.objects.create(name="PARTNER", price_cents=0, chat_messages_per_month=0)
    found = limits_for(user_id=make_user("PARTNER").pk)
    assert {limit.limit for limit in found.values()} == {0}


def test_an_edited_row_survives_the_migration_and_holds() -> None:
    PlanLimit.objects.filter(plan="PRO", feature="saved_searches").update(usage_limit=4)
    assert limit_of(make_user(), "saved_searches") == 4


def test_a_plan_that_is_deleted_takes_its_limits_along_in_the_database() -> None:
    query("DELETE FROM plans WHERE name = 'ENTERPRISE' RETURNING name")
    assert not PlanLimit.objects.filter(plan="ENTERPRISE").exists()
    assert not PlanTrial.objects.filter(plan="ENTERPRISE").exists()


# ------------------------------------------------------------------------------------- required


@pytest.mark.parametrize(
    ("feature", "needed", "tiers", "plan"),
    [
        ("map_export", 1, None, "PRO"),
        ("map_export", 1, ["all"], "BUSINESS"),
        ("statistics_dashboard", 1, ["custom"], "ENTERPRISE"),
        ("support_level", 1, ["phone"], None),
        ("route_analysis", 1, None, "BUSINESS"),
        ("api_access", 1, None, "ENTERPRISE"),
        ("messages_per_thread", 3, None, "FREE"),
        ("messages_per_thread", 4, None, "PRO"),
        ("messages_per_thread", 50, None, "PRO"),
        ("messages_per_thread", 51, None, "BUSINESS"),
        ("messages_per_thread", 100_000, None, "ENTERPRISE"),
        ("chat_messages_monthly", 2500, None, "ENTERPRISE"),
        ("chat_messages_monthly", 2501, None, None),
        ("saved_searches", 0, None, "PRO"),
        ("nothing", 1, None, None),
    ],
)
def test_the_required_plan_is_the_cheapest_that_allows_it(
    feature: str, needed: int, tiers: list[str] | None, plan: str | None
) -> None:
    found = query("SELECT required_plan(%s, %s::int, %s::text[])", feature, needed, tiers)
    assert found == [(plan,)]


def test_of_two_plans_of_one_price_the_first_by_name_is_required() -> None:
    Plan.objects.create(name="PRAXIS", price_cents=7900, chat_messages_per_month=0)
    PlanLimit.objects.create(plan_id="PRAXIS", feature="map_filters", usage_limit=None)
    assert query("SELECT required_plan('map_filters')") == [("PRAXIS",)]


def test_a_plan_to_move_up_to_costs_more_than_the_own() -> None:
    [(above_free,)] = query("SELECT required_plan('messages_per_thread', 1, NULL, 'FREE')")
    [(above_top,)] = query("SELECT required_plan('messages_per_thread', 1, NULL, 'ENTERPRISE')")
    assert (above_free, above_top) == ("PRO", None)


# ---------------------------------------------------------------------------------------- trial


@pytest.mark.parametrize(
    ("seconds", "plan"), [(-1, "BUSINESS"), (0, "FREE"), (1, "FREE")], ids=["before", "at", "after"]
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Pacific/Honolulu"])
def test_a_trial_ends_at_the_second_in_every_time_zone(zone: str, seconds: int, plan: str) -> None:
    user = make_user("BUSINESS", is_trial=True, trial_ends_at=NOW)
    query("SELECT set_config('TimeZone', %s, true)", zone)
    assert limits_for(user_id=user.pk, now=NOW + seconds * SECOND)["sms_alerts"].plan == plan


@pytest.mark.parametrize(
    "values",
    [
        {"is_trial": False, "trial_ends_at": NOW},
        {"is_trial": None, "trial_ends_at": NOW},
        {"is_trial": True, "trial_ends_at": None},
    ],
)
def test_who_is_not_on_a_trial_that_ends_keeps_the_plan(values: dict[str, Any]) -> None:
    user = make_user("BUSINESS", **values)
    assert limits_for(user_id=user.pk, now=NOW + SECOND)["sms_alerts"].plan == "BUSINESS"


def test_what_was_used_on_a_trial_is_no_debt_in_the_month_that_is_paid_for() -> None:
    user = make_user("PRO", is_trial=True, trial_ends_at=NOW)
    for _ in range(5):
        consume(user_id=user.pk, feature="chat_messages_monthly", now=NOW - SECOND)
    User.objects.filter(pk=user.pk).update(is_trial=False)
    assert standing(user, "chat_messages_monthly").remaining == 495


# ------------------------------------------------------------------------------------ overrides


@pytest.mark.parametrize("limit", [0, 2, 30, None])
def test_an_override_goes_before_the_plan(limit: int | None) -> None:
    user = make_user()
    LimitOverrideFactory.create(user=user, feature="saved_searches", usage_limit=limit)
    found = limits_for(user_id=user.pk, now=NOW)["saved_searches"]
    assert (found.limit, found.per, found.overridden) == (limit, Per.ACCOUNT, True)


def test_an_override_is_for_one_user_and_one_feature() -> None:
    user, other = make_user(), make_user()
    LimitOverrideFactory.create(user=user, feature="saved_searches", usage_limit=30)
    assert [f for f, limit in limits_for(user_id=user.pk).items() if limit.overridden] == [
        "saved_searches"
    ]
    assert limit_of(other, "saved_searches") == 3


@pytest.mark.parametrize(
    ("seconds", "limit"), [(-1, 30), (0, 3), (1, 3)], ids=["before", "at", "after"]
)
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
def test_an_override_ends_at_the_second(zone: str, seconds: int, limit: int) -> None:
    user = make_user()
    LimitOverrideFactory.create(user=user, feature="saved_searches", usage_limit=30, until=NOW)
    query("SELECT set_config('TimeZone', %s, true)", zone)
    assert limit_of(user, "saved_searches", NOW + seconds * SECOND) == limit


def test_an_override_can_give_a_free_user_a_month_instead_of_a_lifetime() -> None:
    user = make_user("FREE", lifetime_chat_messages=500)
    LimitOverrideFactory.create(
        user=user, feature="chat_messages_monthly", usage_limit=10, per=Per.MONTH
    )
    assert consume(user_id=user.pk, feature="chat_messages_monthly", now=NOW).remaining == 9


def test_an_override_gives_a_tier() -> None:
    user = make_user("FREE")
    LimitOverrideFactory.create(user=user, feature="map_export", usage_limit=None, tier="all")
    found = limits_for(user_id=user.pk)["map_export"]
    assert (found.limit, found.tier) == (None, "all")


def test_an_override_ends_with_its_user_in_the_database() -> None:
    override = LimitOverrideFactory.create()
    query("DELETE FROM users WHERE id = %s RETURNING id", override.user_id)
    assert not LimitOverride.objects.exists()


def test_what_the_factory_makes_is_valid_as_it_is() -> None:
    LimitOverrideFactory.create().full_clean()


def test_a_user_has_one_override_of_a_feature() -> None:
    override = LimitOverrideFactory.create()
    with pytest.raises(DatabaseError, match="feature_limit_overrides_user_id_feature_key"):
        LimitOverrideFactory.create(user=override.user, feature=override.feature)


# --------------------------------------------------------------------------------- what is used


def test_everything_is_known_of_every_feature_in_one_query(django_assert_num_queries) -> None:
    user = make_user()
    with django_assert_num_queries(1):
        assert list(usage_for(user_id=user.pk)) == [feature.name for feature in FEATURES]
    with django_assert_num_queries(1):
        assert list(limits_for(user_id=user.pk)) == [feature.name for feature in FEATURES]


def test_a_monthly_limit_shows_what_is_used_left_and_when_it_starts_anew() -> None:
    user = make_user()
    record(user_id=user.pk, feature="chat_messages_monthly", quantity=120, occurred_at=NOW)
    found = standing(user, "chat_messages_monthly")
    assert (found.used, found.limit, found.remaining, found.resets_at) == (
        120,
        500,
        380,
        datetime(2026, 4, 1, tzinfo=UTC),
    )


def test_an_unlimited_feature_shows_what_is_used() -> None:
    user = make_user("BUSINESS")
    record(user_id=user.pk, feature="pdf_exports_monthly", quantity=7, occurred_at=NOW)
    found = standing(user, "pdf_exports_monthly")
    assert (found.used, found.limit, found.remaining) == (7, None, None)


def test_a_lifetime_limit_shows_all_months_and_never_starts_anew() -> None:
    user = make_user("FREE", lifetime_chat_messages=2)
    found = standing(user, "chat_messages_monthly")
    assert (found.used, found.remaining, found.resets_at, found.per) == (2, 1, None, Per.LIFETIME)


@pytest.mark.parametrize("feature", ["messages_per_thread", "map_filters", "map_export"])
def test_what_is_not_counted_by_user_shows_no_use(feature: str) -> None:
    found = standing(make_user(), feature)
    assert (found.used, found.remaining, found.resets_at) == (None, None, None)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
@pytest.mark.parametrize(
    ("moment", "resets_at"),
    [
        (datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        (datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_month_is_one_of_utc_in_every_time_zone(
    zone: str, moment: datetime, resets_at: datetime
) -> None:
    user = make_user()
    query("SELECT set_config('TimeZone', %s, true)", zone)
    consume(user_id=user.pk, feature="chat_messages_monthly", now=moment)
    last_and_first = (resets_at - SECOND, resets_at)
    found = [standing(user, "chat_messages_monthly", now) for now in last_and_first]
    assert [one.used for one in found] == [1, 0]
    # Compared on the server: Django reads every time as one of the zone that it has set itself.
    assert query("SELECT feature_resets_at('month', %s) = %s", moment, resets_at) == [(True,)]


# -------------------------------------------------------------------------- what the account has


@pytest.fixture
def no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_COUNTS", {})


def test_an_app_says_what_the_account_has_in_the_same_query(
    no_counts: None, django_assert_num_queries
) -> None:
    register_count(feature="team_users", sql="SELECT 2")
    register_count(feature="saved_searches", sql="SELECT %(user_id)s - %(user_id)s + 5")
    user = make_user()
    with django_assert_num_queries(1):
        found = usage_for(user_id=user.pk)
    searches, team = found["saved_searches"], found["team_users"]
    assert (searches.used, searches.limit, searches.remaining) == (5, 3, 0)
    assert (team.used, team.limit, team.remaining) == (2, 0, 0)


def test_what_nobody_counts_is_not_known(no_counts: None) -> None:
    found = standing(make_user(), "team_users")
    assert (found.used, found.remaining) == (None, None)


def test_two_ways_to_count_one_thing_are_refused(no_counts: None) -> None:
    register_count(feature="team_users", sql="SELECT 2")
    register_count(feature="team_users", sql="SELECT 2")
    with pytest.raises(ImproperlyConfigured, match="two queries"):
        register_count(feature="team_users", sql="SELECT 3")


def test_a_feature_that_the_ledger_counts_is_counted_by_nobody_else(no_counts: None) -> None:
    with pytest.raises(ImproperlyConfigured, match="not limited by account"):
        register_count(feature="chat_messages_monthly", sql="SELECT 2")


# --------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("ask", [limits_for, usage_for])
def test_an_unknown_user_is_an_error(ask: Any) -> None:
    with pytest.raises(UnknownUserError, match="there is no user 999999"), transaction.atomic():
        ask(user_id=999_999)


@pytest.mark.parametrize("ask", [limits_for, usage_for])
def test_a_moment_without_time_zone_is_an_error(ask: Any) -> None:
    with pytest.raises(InvalidUsageError, match="time zone"):
        ask(user_id=make_user().pk, now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("user", ["NULL", "0", "-1"])
def test_the_sql_function_names_a_user_that_is_not_there(user: str) -> None:
    with pytest.raises(DatabaseError, match=f"there is no user {user}") as error:
        query(f"SELECT * FROM feature_limit({user}, 'map_export')")
    assert getattr(error.value.__cause__, "sqlstate", None) == "23503"


def test_the_sql_function_allows_nothing_of_a_feature_that_it_does_not_know() -> None:
    found = query("SELECT * FROM feature_limit(%s, 'nothing')", make_user().pk)
    assert found == [("PRO", 0, None, None, False)]
