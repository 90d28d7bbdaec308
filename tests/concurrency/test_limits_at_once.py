"""More uses at once than a limit has left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from sentinel.accounts.factories import UserFactory
from sentinel.counters import audit_counters, declared_counters
from usage import consume, refund, usage_for, use_feature
from usage.factories import LimitOverrideFactory

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel.accounts.models import User

pytestmark = pytest.mark.usefixtures("committed")

AT_ONCE = 12
LIMIT = 5


def at_once(call: Callable[[int], Any]) -> list[Any]:
    """Call it on so many connections of their own, all from the same moment on."""
    start = Barrier(AT_ONCE)

    def work(number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, range(AT_ONCE)))


def used(user: User, feature: str) -> int | None:
    return usage_for(user_id=user.pk)[feature].used


def make_limited_user(**values: Any) -> User:
    """A user with five uses of the month left, and none or some of them used."""
    user = UserFactory.create(plan_id="PRO", **values)
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=LIMIT)
    return user


def assert_exact() -> None:
    assert [
        report.counter for report in audit_counters(declared_counters()) if not report.exact
    ] == []


def test_no_more_are_admitted_at_once_than_a_month_has_left() -> None:
    user = make_limited_user()
    came = at_once(lambda _: consume(user_id=user.pk, feature="pdf_exports_monthly"))
    assert sum(one.admitted for one in came) == LIMIT
    assert sorted(one.used_after for one in came if one.admitted) == [1, 2, 3, 4, 5]
    assert used(user, "pdf_exports_monthly") == LIMIT
    assert_exact()


def test_the_last_use_of_a_month_is_admitted_once() -> None:
    user = make_limited_user()
    consume(user_id=user.pk, feature="pdf_exports_monthly", quantity=LIMIT - 1)
    came = at_once(lambda _: consume(user_id=user.pk, feature="pdf_exports_monthly"))
    assert sum(one.admitted for one in came) == 1
    assert_exact()


def test_no_more_are_admitted_at_once_than_a_lifetime_has_left() -> None:
    user = UserFactory.create(plan_id="FREE", lifetime_chat_messages=1)
    came = at_once(lambda _: consume(user_id=user.pk, feature="chat_messages_monthly"))
    assert sum(one.admitted for one in came) == 2
    assert used(user, "chat_messages_monthly") == 3
    user.refresh_from_db()
    assert user.lifetime_chat_messages == 3
    assert_exact()


def test_quantities_at_once_fill_a_limit_and_never_overflow_it() -> None:
    user = make_limited_user()
    quantities = [1 + number % 3 for number in range(AT_ONCE)]
    came = at_once(
        lambda number: consume(
            user_id=user.pk, feature="pdf_exports_monthly", quantity=quantities[number]
        )
    )
    outcomes = list(zip(quantities, came, strict=True))
    total = sum(quantity for quantity, one in outcomes if one.admitted)
    assert used(user, "pdf_exports_monthly") == total <= LIMIT
    assert all(total + quantity > LIMIT for quantity, one in outcomes if not one.admitted)


def test_one_key_at_once_counts_once_and_all_are_admitted() -> None:
    user = make_limited_user()
    came = at_once(
        lambda _: consume(user_id=user.pk, feature="pdf_exports_monthly", key="export 1")
    )
    assert all(one.admitted for one in came)
    assert sum(not one.duplicate for one in came) == 1
    assert len({one.event_id for one in came}) == 1
    assert used(user, "pdf_exports_monthly") == 1
    assert_exact()


def test_what_is_refunded_at_once_is_given_back_once() -> None:
    user = make_limited_user()
    event = consume(user_id=user.pk, feature="pdf_exports_monthly", quantity=LIMIT).event_id
    assert event
    given_back = at_once(lambda _: refund(event_id=event, reason="the view failed"))
    assert sum(given_back) == 1
    assert used(user, "pdf_exports_monthly") == 0
    assert_exact()


def test_tolerant_uses_at_once_are_counted_like_others() -> None:
    user = make_limited_user()
    came = at_once(
        lambda _: use_feature(user_id=user.pk, feature="pdf_exports_monthly", tolerant=True)
    )
    assert [one.error_in for one in came] == [None] * AT_ONCE
    assert sum(one.admitted for one in came) == LIMIT
    assert_exact()
