"""The admin of usage: limits are edited, what was counted is read, corrections give a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sentinel.accounts.factories import UserFactory
from sentinel.accounts.models import User
from usage import Per, limits_for, record, usage_for
from usage.factories import LimitOverrideFactory
from usage.limit_models import LimitOverride, PlanLimit, PlanTrial
from usage.models import FeatureUsage, FeatureUsageEvent

if TYPE_CHECKING:
    from django.test import Client

REGISTERED = (PlanLimit, LimitOverride, PlanTrial, FeatureUsage, FeatureUsageEvent)
COUNTED = (FeatureUsage, FeatureUsageEvent)
MARCH = datetime(2026, 3, 15, 12, tzinfo=UTC)


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    """A browser in which a superuser has logged in."""
    client.force_login(UserFactory.create(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def user(db: None) -> User:
    return UserFactory.create(plan_id="PRO")


def page(model: type[models.Model], name: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def post(client: Client, address: str, **values: object) -> Any:
    return client.post(address, {name: str(value) for name, value in values.items()})


def errors(response: Any) -> str:
    """What a form says is wrong with it."""
    assert response.status_code == 200, "it was accepted"
    form = response.context["adminform"].form
    return " ".join(word for words in form.errors.values() for word in words)


def override_of(user: User, **values: object) -> dict[str, object]:
    """What the form for an override sends."""
    given = {"user": user.pk, "feature": "saved_searches", "usage_limit": 9, "reason": "Asked."}
    empty = {"per": "", "tier": "", "until_0": "", "until_1": ""}
    return empty | given | values


def correction_of(user: User, **values: object) -> dict[str, object]:
    """What the form for a correction sends."""
    given = {"user": user.pk, "feature": "api_access", "quantity": -1, "reason": "Counted twice."}
    return {"occurred_at_0": "", "occurred_at_1": ""} | given | values


# ---------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("model", REGISTERED)
def test_a_list_takes_as_many_queries_however_long_it_is(
    staff: Client, model: type[models.Model]
) -> None:
    taken = []
    for _ in range(2):
        for _ in range(3):
            LimitOverrideFactory.create(user=(user := UserFactory.create()))
            record(user_id=user.pk, feature="api_access")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert staff.get(page(model, "changelist")).status_code == 200
        taken.append(len(queries))
    assert taken[0] == taken[1]


@pytest.mark.parametrize("model", REGISTERED)
def test_a_list_is_searched_and_filtered(staff: Client, model: type[models.Model]) -> None:
    with_feature = "" if model is PlanTrial else "?q=example&feature=api_access"
    assert staff.get(page(model, "changelist") + with_feature).status_code == 200


@pytest.mark.parametrize("model", REGISTERED)
def test_a_row_has_its_page(staff: Client, user: User, model: type[models.Model]) -> None:
    LimitOverrideFactory.create(user=user)
    record(user_id=user.pk, feature="api_access")
    row = model._default_manager.first()
    assert row
    assert staff.get(page(model, "change", row.pk)).status_code == 200


# ---------------------------------------------------------------------------------------- plans


def price_list(staff: Client, **cells: object) -> Any:
    """Send the list of one feature with other values in its first row."""
    address = page(PlanLimit, "changelist") + "?feature=saved_searches"
    forms = staff.get(address).context["cl"].formset
    sent = {
        f"{form.prefix}-{name}": "" if form[name].value() is None else form[name].value()
        for form in forms
        for name in ("id", "usage_limit", "per", "tier")
    }
    sent |= {f"form-0-{name}": value for name, value in cells.items()}
    management = {"form-TOTAL_FORMS": len(forms.forms), "form-INITIAL_FORMS": len(forms.forms)}
    return post(staff, address, **sent, **management, _save="Save")


def test_the_price_list_is_edited_in_place_and_holds_at_once(staff: Client) -> None:
    assert price_list(staff, usage_limit=2).status_code == 302
    limits = PlanLimit.objects.filter(feature="saved_searches").order_by("plan__price_cents")
    assert list(limits.values_list("usage_limit", flat=True)) == [2, 3, 10, None]
    assert limits_for(user_id=UserFactory.create(plan_id="FREE").pk)["saved_searches"].limit == 2


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"usage_limit": -1}, "greater than or equal to 0"),
        ({"per": "month"}, "write account"),
        ({"per": ""}, "write account"),
        ({"tier": "csv"}, "leave it empty"),
    ],
)
def test_what_a_feature_cannot_mean_is_refused(
    staff: Client, cells: dict[str, object], problem: str
) -> None:
    response = price_list(staff, **cells)
    assert response.status_code == 200
    [first, *_] = response.context["cl"].formset.errors
    assert problem in str(first)


@pytest.mark.parametrize(
    ("feature", "values", "problem"),
    [
        ("map_filters", {"usage_limit": 3}, "is not counted"),
        ("map_filters", {"per": "month"}, "leave it empty"),
        ("map_export", {"tier": "pdf"}, "write csv or all"),
        ("map_export", {}, "write csv or all"),
        ("map_export", {"usage_limit": 0, "tier": "csv"}, "leave it empty"),
        ("pdf_exports_monthly", {"usage_limit": 3, "per": "lifetime"}, "write month"),
        ("chat_messages_monthly", {"usage_limit": 3, "per": "object"}, "write month or lifetime"),
        ("nothing", {}, "not one of the available choices"),
    ],
)
def test_what_a_feature_cannot_mean_is_refused_of_a_user_as_well(
    staff: Client, user: User, feature: str, values: dict[str, object], problem: str
) -> None:
    sent = override_of(user, feature=feature) | {"usage_limit": ""} | values
    assert problem in errors(post(staff, page(LimitOverride, "add"), **sent))
    assert not LimitOverride.objects.exists()


def test_a_row_of_a_feature_that_is_no_more_declared_is_refused_with_words(
    staff: Client, user: User
) -> None:
    old = LimitOverrideFactory.create(user=user, feature="fax_alerts")
    response = post(staff, page(LimitOverride, "change", old.pk), **override_of(user))
    assert "No feature is called 'fax_alerts'" in errors(response)


# ---------------------------------------------------------------------------------------- users


def test_a_user_is_given_a_limit_with_a_reason_and_an_end(staff: Client, user: User) -> None:
    sent = override_of(user, until_0="2026-04-01", until_1="00:00:00")
    assert post(staff, page(LimitOverride, "add"), **sent).status_code == 302
    before = limits_for(user_id=user.pk, now=MARCH)["saved_searches"]
    after = limits_for(user_id=user.pk, now=datetime(2026, 4, 1, tzinfo=UTC))["saved_searches"]
    assert (before.limit, before.per, after.limit) == (9, Per.ACCOUNT, 3)


def test_an_empty_limit_is_an_unlimited_one(staff: Client, user: User) -> None:
    post(staff, page(LimitOverride, "add"), **override_of(user, usage_limit=""))
    found = limits_for(user_id=user.pk)["saved_searches"]
    assert (found.limit, found.overridden) == (None, True)


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_limit_of_a_user_takes_a_reason(staff: Client, user: User, reason: str) -> None:
    response = post(staff, page(LimitOverride, "add"), **override_of(user, reason=reason))
    assert "required" in errors(response)


def test_a_second_limit_of_the_same_feature_is_refused(staff: Client, user: User) -> None:
    LimitOverrideFactory.create(user=user)
    response = post(staff, page(LimitOverride, "add"), **override_of(user))
    assert "already exists" in errors(response)


# ---------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize("model", COUNTED)
def test_what_was_counted_is_neither_changed_nor_deleted(
    staff: Client, user: User, model: type[models.Model]
) -> None:
    record(user_id=user.pk, feature="api_access", quantity=3)
    row = model._default_manager.get()
    sent = {"usage_count": 99, "quantity": 99, "feature": "map_export", "post": "yes"}
    assert post(staff, page(model, "change", row.pk), **sent).status_code == 403
    assert post(staff, page(model, "delete", row.pk), **sent).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
    post(staff, page(model, "changelist"), **chosen)
    assert usage_for(user_id=user.pk)["api_access"].limit == 0
    assert FeatureUsage.objects.get().usage_count == 3


def test_a_month_is_not_added_by_hand(staff: Client) -> None:
    assert staff.get(page(FeatureUsage, "add")).status_code == 403


def test_a_user_who_has_used_something_can_be_deleted(staff: Client, user: User) -> None:
    record(user_id=user.pk, feature="api_access")
    LimitOverrideFactory.create(user=user)
    assert post(staff, page(User, "delete", user.pk), post="yes").status_code == 302
    assert not FeatureUsage.objects.exists()
    assert not FeatureUsageEvent.objects.exists()


# ----------------------------------------------------------------------------------- corrections


def test_a_correction_counts_in_its_month_and_says_why(staff: Client, user: User) -> None:
    record(user_id=user.pk, feature="api_access", quantity=3, occurred_at=MARCH)
    sent = correction_of(user, quantity=-2, occurred_at_0="2026-03-31", occurred_at_1="23:59:59")
    assert post(staff, page(FeatureUsageEvent, "add"), **sent).status_code == 302
    month = FeatureUsage.objects.get()
    assert (month.usage_count, str(month.period_start)) == (1, "2026-03-01")
    event = FeatureUsageEvent.objects.latest("id")
    assert (event.source, event.reason) == ("correction", "Counted twice.")


def test_a_correction_without_a_moment_is_of_now(staff: Client, user: User) -> None:
    sent = correction_of(user, quantity=5)
    assert post(staff, page(FeatureUsageEvent, "add"), **sent).status_code == 302
    assert FeatureUsage.objects.get().period_start == timezone.now().date().replace(day=1)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"reason": ""}, "required"),
        ({"quantity": 0}, "corrects nothing"),
        ({"quantity": -4}, "3 were used in March 2026: no more can be given back"),
        ({"quantity": 2**31}, "less than or equal to"),
        ({"feature": "nothing"}, "not one of the available choices"),
        ({"user": 999_999}, "valid choice"),
    ],
)
def test_a_correction_that_means_nothing_is_refused(
    staff: Client, user: User, values: dict[str, object], problem: str
) -> None:
    record(user_id=user.pk, feature="api_access", quantity=3, occurred_at=MARCH)
    sent = correction_of(user, occurred_at_0="2026-03-15", occurred_at_1="12:00") | values
    assert problem in errors(post(staff, page(FeatureUsageEvent, "add"), **sent))
    assert FeatureUsage.objects.get().usage_count == 3
