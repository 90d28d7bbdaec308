"""The functions that count, by the names under which others call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import DatabaseError, transaction

from tests.ledger import MARCH, adopted, assert_exact, months, sql, use
from tests.rows import new_user

if TYPE_CHECKING:
    from typing import LiteralString

pytestmark = pytest.mark.django_db

LARGEST = 2**31 - 1
NOBODY = 999_999
THIS_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"


@pytest.fixture
def user() -> int:
    return new_user()


def one(statement: LiteralString, **values: Any) -> Any:
    """Run a query of one value."""
    [(value,)] = sql(statement, **values)
    return value


def admit(user: int | None, arguments: LiteralString, **values: Any) -> tuple[Any, ...]:
    [row] = sql(
        "SELECT admitted, duplicate, used_before, used_after, event_id"
        " FROM admit_feature_usage({user}, 'map_export', " + arguments + ")",
        user=user,
        **values,
    )
    return row


def lifetime(user: int) -> tuple[int, int]:
    [counts] = sql(
        "SELECT lifetime_chat_messages, lifetime_travel_assessments FROM users WHERE id = {user}",
        user=user,
    )
    return counts


def assert_refused(statement: LiteralString, *, sqlstate: str, message: str, **values: Any) -> None:
    with pytest.raises(DatabaseError) as error, transaction.atomic():
        sql(statement, **values)
    cause = error.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.sqlstate == sqlstate
    assert message in str(cause)
    assert cause.diag.message_hint


# ------------------------------------------------------------------------------- adding to a month


def test_an_increment_returns_the_new_number(user: int) -> None:
    increment: LiteralString = "SELECT increment_feature_usage_safe({user}, 'test_verification'"
    assert one(increment + ")", user=user) == 1
    assert one(increment + ", 4)", user=user) == 5
    assert one(increment + ", n => 2)", user=user) == 7
    assert one("SELECT get_feature_usage({user}, 'test_verification')", user=user) == 7
    assert adopted() == []
    assert_exact()


def test_the_existing_increment_adds_one_use_and_returns_nothing(user: int) -> None:
    for _ in range(3):
        sql("SELECT increment_feature_usage({user}, 'map_export')", user=user)
    assert one("SELECT get_feature_usage({user}, 'map_export')", user=user) == 3
    assert sum(quantity for _, quantity in adopted()) == 3
    assert_exact()


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Honolulu"])
@pytest.mark.parametrize("name", ["increment_feature_usage", "increment_feature_usage_safe"])
def test_an_increment_counts_in_the_present_month_in_utc(user: int, zone: str, name: str) -> None:
    sql("SET LOCAL TIME ZONE {zone}", zone=zone)
    sql(f"SELECT {name}({{user}}, 'map_export')", user=user)
    assert one(f"SELECT bool_and(period_start = {THIS_MONTH}) FROM feature_usage")
    assert one("SELECT get_feature_usage({user}, 'map_export')", user=user) == 1
    assert one("SELECT check_feature_limit({user}, 'map_export', 2)", user=user) is True
    assert_exact()


# ---------------------------------------------------------------------------------------- reading


def test_what_was_never_used_is_zero(user: int) -> None:
    use(user, 3, feature="map_export", at="2001-01-15Z")
    assert one("SELECT get_feature_usage({user}, 'map_export')", user=user) == 0
    assert one("SELECT get_feature_usage({user}, 'map_export')", user=NOBODY) == 0
    assert sql("SELECT * FROM get_user_feature_usage({user})", user=user) == []


def test_a_users_month_is_listed_by_feature(user: int) -> None:
    for feature in ("map_export", "api_access"):
        sql("SELECT increment_feature_usage_safe({user}, {f})", user=user, f=feature)
    use(user, at="2001-01-15Z")
    use(new_user())
    assert sql(
        "SELECT feature, usage_count,"
        " period_end = (period_start + interval '1 month - 1 day')::date,"
        " period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date, last_used = now()"
        " FROM get_user_feature_usage({user})",
        user=user,
    ) == [("api_access", 1, True, True, True), ("map_export", 1, True, True, True)]


@pytest.mark.parametrize(("limit", "below"), [(0, False), (2, False), (3, True)])
def test_a_limit_is_compared_with_what_was_used(user: int, limit: int, below: bool) -> None:  # noqa: FBT001 (pytest passes it by name)
    sql("SELECT increment_feature_usage_safe({user}, 'map_export', 2)", user=user)
    check: LiteralString = "SELECT check_feature_limit({user}, 'map_export', {limit})"
    assert one(check, user=user, limit=limit) is below


@pytest.mark.parametrize(("limit", "below"), [(0, False), (1, True)])
def test_a_limit_is_open_where_nothing_was_used(user: int, limit: int, below: bool) -> None:  # noqa: FBT001 (as above)
    check: LiteralString = "SELECT check_feature_limit({user}, 'map_export', {limit})"
    assert one(check, user=user, limit=limit) is below


# -------------------------------------------------------------------------------------- admission


def test_uses_are_admitted_up_to_the_limit_and_refused_beyond(user: int) -> None:
    at: LiteralString = ", occurred_at => '2026-03-15Z'"
    assert admit(user, "2, 3" + at)[:4] == (True, False, 0, 2)
    assert admit(user, "2, 3" + at)[:4] == (False, False, 2, 2)
    assert admit(user, "1, 3" + at)[:4] == (True, False, 2, 3)
    assert admit(user, "1, NULL" + at)[:4] == (True, False, 3, 4)
    assert months() == [("map_export", MARCH, 4)]
    assert_exact()


def test_a_refused_use_makes_no_month(user: int) -> None:
    assert admit(user, "1, 0")[:4] == (False, False, 0, 0)
    assert months() == []


def test_a_key_is_admitted_once_and_the_second_call_says_so(user: int) -> None:
    first = admit(user, "2, 2, 'request 1', occurred_at => '2026-03-15Z'")
    again = admit(user, "2, 2, 'request 1', occurred_at => '2026-03-15Z'")
    assert (first[:4], again[:4]) == ((True, False, 0, 2), (True, True, 2, 2))
    assert first[4] == again[4]
    assert months() == [("map_export", MARCH, 2)]


def test_a_key_that_was_used_for_another_feature_is_not_used_again(user: int) -> None:
    first = admit(user, "1, NULL, 'request 1'")
    again = sql(
        "SELECT duplicate, event_id FROM admit_feature_usage({user}, 'api_access', 1, NULL, {key})",
        user=user,
        key="request 1",
    )
    assert again == [(True, first[4])]
    assert sum(count for *_, count in months()) == 1
    assert_exact()


def test_a_lifetime_is_admitted_whatever_the_months_hold(user: int) -> None:
    use_one: LiteralString = (
        "SELECT admitted, used_before, used_after FROM"
        " admit_lifetime_usage({user}, 'travel_assessments_monthly', 1, 2, occurred_at => {at})"
    )
    came = [sql(use_one, user=user, at=at) for at in ("2026-01-15Z", "2026-02-15Z", "2026-03-15Z")]
    assert came == [[(True, 0, 1)], [(True, 1, 2)], [(False, 2, 2)]]
    assert lifetime(user) == (0, 2)
    assert len(months()) == 2
    assert_exact()


@pytest.mark.parametrize(
    ("feature", "raised"),
    [("chat_messages_monthly", (3, 0)), ("travel_assessments_monthly", (0, 3)), ("x", (0, 0))],
)
def test_every_way_of_counting_raises_the_lifetime_of_its_feature(
    user: int, feature: str, raised: tuple[int, int]
) -> None:
    sql("SELECT admit_feature_usage({user}, {f}, 2, NULL)", user=user, f=feature)
    sql("SELECT increment_feature_usage_safe({user}, {f})", user=user, f=feature)
    assert lifetime(user) == raised


def test_a_lifetime_that_is_null_counts_from_zero(user: int) -> None:
    sql("UPDATE users SET lifetime_chat_messages = NULL WHERE id = {user}", user=user)
    sql("SELECT increment_feature_usage_safe({user}, 'chat_messages_monthly')", user=user)
    assert lifetime(user) == (1, 0)


# ----------------------------------------------------------------------------------------- refunds


def test_a_refund_gives_back_once_in_the_month_of_the_use(user: int) -> None:
    event = admit(user, "3, NULL, occurred_at => '2026-03-15Z'")[4]
    refund: LiteralString = "SELECT refund_feature_usage({event}, 'the view failed')"
    assert [one(refund, event=event) for _ in range(2)] == [True, False]
    assert months() == [("map_export", MARCH, 0)]
    assert sql("SELECT quantity, source, reason FROM feature_usage_events ORDER BY id") == [
        (3, "consume", None),
        (-3, "refund", "the view failed"),
    ]
    assert_exact()


def test_a_refund_gives_back_to_the_lifetime_and_never_below_zero(user: int) -> None:
    [(event,)] = sql(
        "SELECT event_id FROM admit_feature_usage({user}, 'chat_messages_monthly', 3, NULL)",
        user=user,
    )
    sql("UPDATE users SET lifetime_chat_messages = 1 WHERE id = {user}", user=user)
    assert one("SELECT refund_feature_usage({event}, 'failed')", event=event) is True
    assert lifetime(user) == (0, 0)


def test_what_was_adopted_is_given_back_in_the_month_that_it_was_written_into(user: int) -> None:
    sql(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES ({user}, 'map_export', 4, '2026-03-01', '2026-03-31')",
        user=user,
    )
    [(event,)] = sql("SELECT id FROM feature_usage_events")
    assert one("SELECT refund_feature_usage({event}, 'an error')", event=event) is True
    assert months() == [("map_export", MARCH, 0)]
    assert_exact()


# ------------------------------------------------------------------------------------ what is wrong

CALLS: dict[LiteralString, tuple[str, str]] = {
    "increment_feature_usage_safe(NULL, 'x')": ("22004", "an argument is NULL"),
    "increment_feature_usage_safe({user}, NULL)": ("22004", "an argument is NULL"),
    "increment_feature_usage_safe({user}, 'x', NULL)": ("22004", "an argument is NULL"),
    "increment_feature_usage_safe({user}, 'x', 0)": ("22023", "a quantity of 0 cannot be used"),
    "increment_feature_usage_safe({user}, 'x', -1)": ("22023", "a quantity of -1 cannot be used"),
    "increment_feature_usage_safe(999999, 'x')": ("23503", "there is no user 999999"),
    "increment_feature_usage_safe({user}, '')": ("22023", "a feature cannot be called ''"),
    "increment_feature_usage_safe({user}, repeat('x', 51))": (
        "22023",
        "a feature cannot be called",
    ),
    "increment_feature_usage_safe({user}, 'full')": ("22003", "beyond what the column holds"),
    "increment_feature_usage(NULL, 'x')": ("22004", "an argument is NULL"),
    "increment_feature_usage({user}, NULL)": ("22004", "an argument is NULL"),
    "increment_feature_usage(999999, 'x')": ("23503", "there is no such user"),
    "check_feature_limit(NULL, 'x', 1)": ("22004", "an argument is NULL"),
    "check_feature_limit({user}, NULL, 1)": ("22004", "an argument is NULL"),
    "check_feature_limit({user}, 'x', NULL)": ("22004", "an argument is NULL"),
    "get_feature_usage(NULL, 'x')": ("22004", "an argument is NULL"),
    "get_feature_usage({user}, NULL)": ("22004", "an argument is NULL"),
    "get_user_feature_usage(NULL)": ("22004", "whose usage?"),
    "admit_feature_usage(NULL, 'x', 1, 5)": ("22004", "an argument is NULL"),
    "admit_feature_usage({user}, 'x', NULL, 5)": ("22004", "an argument is NULL"),
    "admit_feature_usage({user}, 'x', 0, 5)": ("22023", "a quantity of 0 cannot be used"),
    "admit_feature_usage({user}, 'x', 1, 5, '')": ("22023", "an idempotency key of 0 characters"),
    "admit_feature_usage({user}, 'x', 1, 5, repeat('k', 201))": ("22023", "key of 201 characters"),
    "admit_feature_usage({user}, 'x', 1, 5, 'refund:7')": ("22023", "are those of refunds"),
    "admit_feature_usage({user}, 'x', 1, 5, occurred_at => NULL)": ("22004", "is NULL"),
    "admit_feature_usage(999999, 'x', 1, 5)": ("23503", "there is no user 999999"),
    "admit_feature_usage({user}, 'full', 1, NULL)": ("22003", "1 more are beyond"),
    "admit_lifetime_usage({user}, 'x', 1, 5)": ("22023", "is not counted for a lifetime"),
    "admit_lifetime_usage(999999, 'chat_messages_monthly', 1, 5)": ("23503", "no user 999999"),
    "refund_feature_usage(NULL, 'why')": ("22004", "an argument is NULL"),
    "refund_feature_usage(1, NULL)": ("22004", "an argument is NULL"),
    "refund_feature_usage(-7, 'why')": ("P0002", "there is no usage event -7"),
    "refund_feature_usage({refund}, 'why')": ("22023", "took nothing: its quantity is -1"),
}


@pytest.mark.parametrize(("call", "refusal"), CALLS.items(), ids=CALLS.keys())
def test_what_makes_no_sense_is_an_error_with_a_hint(
    user: int, call: LiteralString, refusal: tuple[str, str]
) -> None:
    sql("SELECT increment_feature_usage_safe({user}, 'full', {n})", user=user, n=LARGEST)
    used = use(user)
    sql("SELECT refund_feature_usage({used}, 'failed')", used=used)
    [(refund,)] = sql("SELECT id FROM feature_usage_events WHERE quantity < 0")
    before = months()
    sqlstate, message = refusal
    assert_refused("SELECT " + call, sqlstate=sqlstate, message=message, user=user, refund=refund)
    assert months() == before
    assert_exact()
