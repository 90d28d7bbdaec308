"""Every feature of every plan, asked for one less, as much, and one more than it allows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from sentinel.accounts.factories import UserFactory
from sentinel.accounts.models import User
from tests.price_list import CELLS, Cell
from usage import Admission, Per, Reason, consume, record, usage_for, use_feature
from usage.factories import LimitOverrideFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def make_user(plan: str, **values: Any) -> User:
    return UserFactory.create(plan_id=plan, **values)


def cells(kind: str) -> pytest.MarkDecorator:
    """Cells of the price list: `counted`, `compared` (both with a number), `open` or `closed`."""

    def belongs(cell: Cell) -> bool:
        if not cell.limit:
            return kind == ("open" if cell.limit is None else "closed")
        return kind == ("counted" if cell.per in {Per.MONTH, Per.LIFETIME} else "compared")

    return pytest.mark.parametrize("cell", [cell for cell in CELLS if belongs(cell)], ids=str)


def events() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT feature, quantity FROM feature_usage_events ORDER BY id")
        return cursor.fetchall()


def tell(came: Admission) -> tuple[bool, Reason | None]:
    return came.admitted, came.reason


# ------------------------------------------------------------------------------- the price list


@cells("counted")
def test_the_last_use_is_admitted_and_the_next_refused(cell: Cell) -> None:
    assert cell.limit
    user = make_user(cell.plan)
    if cell.limit > 1:
        record(user_id=user.pk, feature=cell.feature, quantity=cell.limit - 1, occurred_at=NOW)
    last, too_many = (consume(user_id=user.pk, feature=cell.feature, now=NOW) for _ in range(2))
    assert tell(last) == (True, None)
    assert (last.used_before, last.used_after, last.remaining) == (cell.limit - 1, cell.limit, 0)
    assert tell(too_many) == (False, Reason.LIMIT)
    assert (too_many.used_before, too_many.used_after, too_many.remaining) == (
        cell.limit,
        cell.limit,
        0,
    )
    assert too_many.event_id is None
    assert sum(quantity for _, quantity in events()) == cell.limit
    assert last.resets_at == too_many.resets_at == (APRIL if cell.per is Per.MONTH else None)


@cells("compared")
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_as_much_as_the_limit_is_admitted_and_one_more_refused(cell: Cell, more: int) -> None:
    assert cell.limit
    user = make_user(cell.plan)
    came = use_feature(user_id=user.pk, feature=cell.feature, provided=cell.limit + more, now=NOW)
    assert tell(came) == ((True, None) if more < 1 else (False, Reason.LIMIT))
    assert events() == ([(cell.feature, 1)] if more < 1 else [])


@cells("open")
def test_what_is_unlimited_is_admitted_and_recorded(cell: Cell) -> None:
    user = make_user(cell.plan)
    came = use_feature(user_id=user.pk, feature=cell.feature, now=NOW)
    assert (came.admitted, came.limit, came.tier, came.remaining) == (True, None, cell.tier, None)
    assert events() == [(cell.feature, 1)]


@cells("closed")
def test_what_a_plan_does_not_have_is_disabled_and_names_the_plan_that_has_it(cell: Cell) -> None:
    user = make_user(cell.plan)
    came = use_feature(user_id=user.pk, feature=cell.feature, now=NOW)
    assert tell(came) == (False, Reason.DISABLED)
    [first] = [c.plan for c in CELLS if c.feature == cell.feature and c.limit != 0][:1]
    assert (came.plan, came.required_plan, came.limit) == (cell.plan, first, 0)
    assert events() == []


# --------------------------------------------------------------------------------- several at once


def test_all_of_a_quantity_is_admitted_or_none() -> None:
    user = make_user("PRO")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "pdf_exports_monthly", "now": NOW}
    assert tell(consume(**use, quantity=8)) == (True, None)
    assert tell(consume(**use, quantity=3)) == (False, Reason.LIMIT)
    assert tell(consume(**use, quantity=2)) == (True, None)
    assert events() == [("pdf_exports_monthly", 8), ("pdf_exports_monthly", 2)]


def test_what_is_asked_of_a_counted_feature_is_what_is_counted() -> None:
    user = make_user("PRO")
    came = use_feature(user_id=user.pk, feature="pdf_exports_monthly", provided=4, now=NOW)
    assert (came.used_before, came.used_after) == (0, 4)


def test_nothing_asked_for_is_admitted_at_the_limit_and_counts_nothing() -> None:
    user = make_user("FREE")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "pdf_exports_monthly", "now": NOW}
    consume(**use)
    assert tell(use_feature(**use, provided=0)) == (True, None)
    assert len(events()) == 1


def test_nothing_asked_for_is_still_disabled_where_the_plan_does_not_have_it() -> None:
    user = make_user("FREE")
    came = use_feature(user_id=user.pk, feature="trip_planner_destinations", provided=0)
    assert tell(came) == (False, Reason.DISABLED)


# ----------------------------------------------------------------------------------------- tiers


@pytest.mark.parametrize(
    ("plan", "tiers", "came", "required"),
    [
        ("FREE", ["csv", "all"], (False, Reason.DISABLED), "PRO"),
        ("FREE", ["all"], (False, Reason.DISABLED), "BUSINESS"),
        ("PRO", ["csv", "all"], (True, None), None),
        ("PRO", ["all"], (False, Reason.TIER), "BUSINESS"),
        ("PRO", None, (True, None), None),
        ("BUSINESS", ["all"], (True, None), None),
        ("ENTERPRISE", ["csv"], (False, Reason.TIER), None),
    ],
)
def test_a_tier_is_one_of_those_that_will_do(
    plan: str, tiers: list[str] | None, came: tuple[bool, Reason | None], required: str | None
) -> None:
    user = make_user(plan)
    found = use_feature(user_id=user.pk, feature="map_export", tiers=tiers, now=NOW)
    assert (tell(found), found.required_plan) == (came, required)


# ------------------------------------------------------------------------------ months, lifetimes


def test_a_new_month_starts_at_nothing() -> None:
    user = make_user("FREE")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "pdf_exports_monthly"}
    assert [consume(**use, now=now).admitted for now in (NOW, NOW, APRIL, APRIL)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_lifetime_limit_holds_over_all_months() -> None:
    user = make_user("FREE")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "chat_messages_monthly"}
    months = [NOW, APRIL, datetime(2026, 5, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)]
    assert [consume(**use, now=now).admitted for now in months] == [True, True, True, False]


def test_what_was_used_on_a_paid_plan_counts_in_a_lifetime() -> None:
    user = make_user("PRO")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "chat_messages_monthly"}
    consume(**use, quantity=4, now=NOW)
    User.objects.filter(pk=user.pk).update(plan_id="FREE")
    came = consume(**use, now=APRIL)
    assert tell(came) == (False, Reason.LIMIT)
    assert (came.used_before, came.limit, came.remaining, came.per) == (4, 3, 0, Per.LIFETIME)


def test_who_has_used_a_lifetime_up_needs_the_plan_that_holds_for_their_month() -> None:
    user = make_user("FREE", lifetime_chat_messages=5_000)
    came = consume(user_id=user.pk, feature="chat_messages_monthly", now=NOW)
    assert (came.used_before, came.required_plan) == (5_000, "PRO")


def test_an_upgrade_in_the_middle_of_a_month_keeps_what_was_used() -> None:
    user = make_user("PRO")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "chat_messages_monthly", "now": NOW}
    consume(**use, quantity=500)
    assert tell(consume(**use)) == (False, Reason.LIMIT)
    User.objects.filter(pk=user.pk).update(plan_id="BUSINESS")
    came = consume(**use)
    assert (came.admitted, came.used_after, came.remaining) == (True, 501, 499)


def test_a_downgrade_below_what_was_used_refuses_new_use_and_deletes_nothing() -> None:
    user = make_user("BUSINESS")
    use: dict[str, Any] = {"user_id": user.pk, "feature": "chat_messages_monthly", "now": NOW}
    consume(**use, quantity=800)
    User.objects.filter(pk=user.pk).update(plan_id="PRO")
    came = consume(**use)
    assert tell(came) == (False, Reason.LIMIT)
    assert (came.used_before, came.remaining, came.required_plan) == (800, 0, "BUSINESS")
    found = usage_for(user_id=user.pk, now=NOW)["chat_messages_monthly"]
    assert (found.used, found.limit, found.remaining) == (800, 500, 0)


def test_who_needs_more_than_any_plan_allows_is_named_none() -> None:
    user = make_user("ENTERPRISE")
    came = consume(user_id=user.pk, feature="chat_messages_monthly", quantity=2501, now=NOW)
    assert (came.admitted, came.required_plan) == (False, None)


# ------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize(("limit", "admitted"), [(0, 0), (2, 2), (14, 14), (None, 15)])
def test_an_override_is_the_limit_up_to_its_last_use(limit: int | None, admitted: int) -> None:
    user = make_user("PRO")
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=limit)
    use: dict[str, Any] = {"user_id": user.pk, "feature": "pdf_exports_monthly", "now": NOW}
    came = [consume(**use) for _ in range(15)]
    assert sum(one.admitted for one in came) == admitted
    assert all(one.overridden for one in came)


def test_no_plan_is_named_where_the_limit_is_the_users_own() -> None:
    user = make_user("PRO")
    LimitOverrideFactory.create(user=user, feature="map_filters", usage_limit=0)
    came = use_feature(user_id=user.pk, feature="map_filters")
    assert (tell(came), came.required_plan) == ((False, Reason.DISABLED), None)


def test_an_override_of_a_plan_without_rows_is_compared_not_ignored() -> None:
    """It says no period: it can only be a limit of what is provided."""
    user = make_user("PRO")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM feature_plan_limits WHERE feature = 'saved_searches'")
    LimitOverrideFactory.create(user=user, feature="saved_searches", usage_limit=4)
    use: dict[str, Any] = {"user_id": user.pk, "feature": "saved_searches"}
    assert use_feature(**use, provided=4).admitted
    assert not use_feature(**use, provided=5).admitted
