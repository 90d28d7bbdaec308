"""Counting from Python: record, consume, refund, and what use_feature can do besides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.db import DatabaseError, connection, transaction

from sentinel.accounts.factories import UserFactory
from usage import (
    InvalidUsageError,
    Reason,
    UnknownEventError,
    UnknownFeatureError,
    UnknownUserError,
    UsageOverflowError,
    consume,
    record,
    refund,
    usage_for,
    use_feature,
)
from usage.factories import LimitOverrideFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel.accounts.models import User

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
NOBODY = 999_999


@pytest.fixture
def user() -> User:
    return UserFactory.create(plan_id="PRO")


def query(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def months(user: User) -> list[tuple[Any, ...]]:
    return query(
        "SELECT feature, usage_count, period_start::text FROM feature_usage"
        " WHERE user_id = %s ORDER BY feature, period_start",
        user.pk,
    )


def events(user: User) -> list[tuple[Any, ...]]:
    return query(
        "SELECT quantity, source, reason FROM feature_usage_events WHERE user_id = %s ORDER BY id",
        user.pk,
    )


# ---------------------------------------------------------------------------------------- record


def test_a_use_is_recorded_in_the_month_in_which_it_occurred(user: User) -> None:
    for moment in (FEBRUARY, NOW, NOW):
        recorded = record(user_id=user.pk, feature="api_access", occurred_at=moment)
    assert (recorded.used, recorded.duplicate) == (2, False)
    assert months(user) == [("api_access", 1, "2026-02-01"), ("api_access", 2, "2026-03-01")]


def test_a_use_is_recorded_beyond_any_limit(user: User) -> None:
    recorded = record(user_id=user.pk, feature="pdf_exports_monthly", quantity=1_000)
    assert recorded.used == 1_000
    assert usage_for(user_id=user.pk)["pdf_exports_monthly"].remaining == 0


def test_where_a_use_comes_from_is_kept(user: User) -> None:
    record(user_id=user.pk, feature="api_access", source="nightly job")
    record(user_id=user.pk, feature="api_access")
    consume(user_id=user.pk, feature="chat_messages_monthly")
    assert [source for _, source, _ in events(user)] == ["nightly job", "record", "consume"]


def test_a_key_counts_once_and_the_second_call_says_so(user: User) -> None:
    first, second = (
        record(user_id=user.pk, feature="api_access", quantity=2, key="request 1", occurred_at=NOW)
        for _ in range(2)
    )
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.event_id == second.event_id
    assert months(user) == [("api_access", 2, "2026-03-01")]


def test_a_key_is_one_of_its_user(user: User) -> None:
    record(user_id=user.pk, feature="api_access", key="request 1")
    other = UserFactory.create()
    assert not record(user_id=other.pk, feature="api_access", key="request 1").duplicate


# --------------------------------------------------------------------------------------- consume


def test_a_use_is_compared_and_counted_in_one_round_trip(
    user: User, django_assert_num_queries
) -> None:
    with django_assert_num_queries(1):
        assert consume(user_id=user.pk, feature="chat_messages_monthly").admitted
    with django_assert_num_queries(1):
        assert not consume(user_id=user.pk, feature="pdf_exports_monthly", quantity=11).admitted


def test_a_replayed_use_is_admitted_as_it_was_though_the_limit_is_reached(user: User) -> None:
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=1)
    use: dict[str, Any] = {
        "user_id": user.pk,
        "feature": "pdf_exports_monthly",
        "key": "export 1",
        "now": NOW,
    }
    first, second = consume(**use), consume(**use)
    assert (first.admitted, first.duplicate) == (True, False)
    assert (second.admitted, second.duplicate, second.reason) == (True, True, None)
    assert second.event_id == first.event_id
    assert months(user) == [("pdf_exports_monthly", 1, "2026-03-01")]


def test_a_refused_use_leaves_its_key_for_a_later_one(user: User) -> None:
    use: dict[str, Any] = {
        "user_id": user.pk,
        "feature": "pdf_exports_monthly",
        "key": "export 1",
        "now": NOW,
    }
    override = LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=0)
    assert not consume(**use).admitted
    override.delete()
    came = consume(**use)
    assert (came.admitted, came.duplicate) == (True, False)


# ---------------------------------------------------------------------------------------- refund


def test_a_use_is_given_back_once_in_the_month_in_which_it_was_counted(user: User) -> None:
    used = record(user_id=user.pk, feature="api_access", quantity=3, occurred_at=FEBRUARY)
    assert refund(event_id=used.event_id, reason="the view failed") is True
    assert refund(event_id=used.event_id, reason="the view failed") is False
    assert months(user) == [("api_access", 0, "2026-02-01")]
    assert [(quantity, reason) for quantity, _, reason in events(user)] == [
        (3, None),
        (-3, "the view failed"),
    ]


def test_what_was_given_back_can_be_used_again(user: User) -> None:
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=1)
    use: dict[str, Any] = {"user_id": user.pk, "feature": "pdf_exports_monthly", "now": NOW}
    first = consume(**use)
    assert first.event_id
    assert not consume(**use).admitted
    refund(event_id=first.event_id, reason="the view failed")
    assert consume(**use).admitted


def test_a_lifetime_use_is_given_back_to_the_lifetime(user: User) -> None:
    free = UserFactory.create(plan_id="FREE", lifetime_chat_messages=2)
    use: dict[str, Any] = {"user_id": free.pk, "feature": "chat_messages_monthly", "now": NOW}
    last = consume(**use)
    assert last.event_id
    assert not consume(**use).admitted
    refund(event_id=last.event_id, reason="the view failed")
    assert consume(**use).used_after == 3


# -------------------------------------------------------------------------- comparing, recording


def test_without_tracking_the_limit_is_compared_and_nothing_written(user: User) -> None:
    use: dict[str, Any] = {
        "user_id": user.pk,
        "feature": "pdf_exports_monthly",
        "track": False,
        "now": NOW,
    }
    came = use_feature(**use, provided=10)
    assert (came.admitted, came.used_before, came.used_after, came.event_id) == (True, 0, 0, None)
    assert use_feature(**use, provided=11).reason is Reason.LIMIT
    assert (events(user), months(user)) == ([], [])


@pytest.mark.parametrize(
    ("feature", "provided", "reason"),
    [
        ("pdf_exports_monthly", 11, Reason.LIMIT),
        ("saved_searches", 4, Reason.LIMIT),
        ("api_access", None, Reason.DISABLED),
        ("map_export", None, Reason.TIER),
        ("map_filters", None, None),
    ],
)
def test_a_limit_that_does_not_bind_says_what_it_would_have_done(
    user: User, feature: str, provided: int | None, reason: Reason | None
) -> None:
    came = use_feature(
        user_id=user.pk,
        feature=feature,
        provided=provided,
        tiers=["all"] if reason is Reason.TIER else None,
        enforce=False,
    )
    assert (came.admitted, came.reason) == (True, reason)
    assert len(events(user)) == 1


# ------------------------------------------------------------------------------------- tolerance


@pytest.fixture
def closed_ledger(db: None) -> None:
    """A ledger that takes nothing."""
    query("ALTER TABLE feature_usage_events ADD CONSTRAINT closed CHECK (false) NOT VALID")


@pytest.mark.parametrize("feature", ["pdf_exports_monthly", "saved_searches", "map_filters"])
def test_a_use_that_cannot_be_recorded_is_admitted_and_the_transaction_goes_on(
    user: User, closed_ledger: None, feature: str
) -> None:
    came = use_feature(user_id=user.pk, feature=feature, tolerant=True)
    assert (came.admitted, came.error_in, came.event_id) == (True, "tracking", None)
    assert came.tracking_error
    assert "closed" in came.tracking_error
    assert months(user) == []  # the transaction is not poisoned


def test_a_use_that_cannot_be_recorded_is_refused_where_the_limit_is_reached(
    user: User, closed_ledger: None
) -> None:
    came = use_feature(user_id=user.pk, feature="pdf_exports_monthly", provided=11, tolerant=True)
    assert (came.admitted, came.reason) == (False, Reason.LIMIT)


@pytest.mark.parametrize("enforce", [True, False])
def test_a_limit_that_cannot_be_checked_admits_nobody_unless_it_does_not_bind(
    enforce: bool,  # noqa: FBT001 (pytest passes it by name)
) -> None:
    came = use_feature(user_id=NOBODY, feature="map_filters", tolerant=True, enforce=enforce)
    assert (came.admitted, came.error_in, came.reason) == (not enforce, "limit", None)
    assert came.tracking_error == f"there is no user {NOBODY}"
    assert query("SELECT 1") == [(1,)]


def test_an_error_is_raised_where_nobody_asked_for_tolerance(
    user: User, closed_ledger: None
) -> None:
    with pytest.raises(DatabaseError, match="closed"), transaction.atomic():
        use_feature(user_id=user.pk, feature="map_filters")


# --------------------------------------------------------------------------------- what is wrong

CALLS: list[Callable[..., Any]] = [record, consume, use_feature]


@pytest.mark.parametrize("call", CALLS)
def test_a_feature_that_is_not_declared_is_an_error(user: User, call: Callable[..., Any]) -> None:
    with pytest.raises(UnknownFeatureError, match="Did you mean 'api_access'"):
        call(user_id=user.pk, feature="api_acess")


@pytest.mark.parametrize("call", CALLS)
def test_a_user_that_is_not_there_is_an_error(call: Callable[..., Any]) -> None:
    with pytest.raises(UnknownUserError, match=str(NOBODY)), transaction.atomic():
        call(user_id=NOBODY, feature="api_access")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("quantity", [0, -1, 2**31, 1.5, True, "2", None])
def test_a_quantity_that_is_none_is_an_error(
    user: User, call: Callable[..., Any], quantity: object
) -> None:
    with pytest.raises(InvalidUsageError, match=r"quantity=.* give a whole number of 1 or more"):
        call(user_id=user.pk, feature="api_access", quantity=quantity)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b"])
def test_a_key_that_cannot_be_stored_is_an_error(
    user: User, call: Callable[..., Any], key: str
) -> None:
    with pytest.raises(InvalidUsageError, match=f"with {len(key)} characters"):
        call(user_id=user.pk, feature="api_access", key=key)


@pytest.mark.parametrize("call", CALLS)
def test_a_key_of_a_refund_is_an_error(user: User, call: Callable[..., Any]) -> None:
    with pytest.raises(InvalidUsageError, match="are those of refunds"):
        call(user_id=user.pk, feature="api_access", key="refund:7")


def test_a_moment_without_time_zone_is_an_error(user: User) -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(InvalidUsageError, match=r"occurred_at=.* has no time zone"):
        record(user_id=user.pk, feature="api_access", occurred_at=naive)
    with pytest.raises(InvalidUsageError, match=r"now=.* has no time zone"):
        consume(user_id=user.pk, feature="api_access", now=naive)


def test_a_sum_beyond_its_column_is_an_error(user: User) -> None:
    record(user_id=user.pk, feature="api_access", quantity=2**31 - 1)
    with pytest.raises(UsageOverflowError), transaction.atomic():
        record(user_id=user.pk, feature="api_access")


def test_an_event_that_is_not_there_cannot_be_given_back() -> None:
    with pytest.raises(UnknownEventError, match="999999"), transaction.atomic():
        refund(event_id=999_999, reason="the view failed")


@pytest.mark.parametrize("reason", ["", "  "])
def test_nothing_is_given_back_without_a_reason(reason: str) -> None:
    with pytest.raises(InvalidUsageError, match="write why"):
        refund(event_id=1, reason=reason)


@pytest.mark.parametrize(
    ("arguments", "sqlstate"),
    [
        ("quantity => 0", "22023"),
        ("quantity => NULL", "22023"),
        ("provided => -1", "22023"),
        ("track => NULL", "22004"),
        ("moment => NULL", "22004"),
    ],
)
@pytest.mark.parametrize("tolerant", ["true", "false"])
def test_a_mistake_of_the_caller_is_an_error_in_sql_also_where_errors_are_tolerated(
    user: User, arguments: str, sqlstate: str, tolerant: str
) -> None:
    with pytest.raises(DatabaseError) as error:
        query(
            f"SELECT use_feature(%s, 'map_filters', {arguments}, tolerant => {tolerant})", user.pk
        )
    assert getattr(error.value.__cause__, "sqlstate", None) == sqlstate
