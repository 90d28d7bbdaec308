"""Services behind a gate: any function that is no view."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from tests.gating.visitors import make_user, quantities, query, sign_in, sign_in_async
from usage import FeatureDeniedError, LimitUncheckedError, feature_limit, feature_required
from usage.gating import NoUserError

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.gating.gated_urls")]


@feature_limit("pdf_exports_monthly")
def by_id(*, user_id: int) -> int:
    return user_id


@feature_limit("pdf_exports_monthly")
def by_user(title: str, user: Any) -> int:
    return user.pk


@feature_limit("pdf_exports_monthly")
def by_keywords(**values: Any) -> int:
    return values["user_id"]


@feature_limit("pdf_exports_monthly")
def by_first_argument(job: Any, title: str = "") -> int:
    return job.user.pk


@feature_limit("pdf_exports_monthly")
async def asynchronous(*, user_id: int) -> int:
    return user_id


class Exporter:
    """A service that is an object."""

    @feature_limit("pdf_exports_monthly")
    def export(self, user_id: int) -> int:
        return user_id


CALLS = {
    "an argument user_id": lambda user: by_id(user_id=user.pk),
    "an argument user": lambda user: by_user("A title", user),
    "any keyword user_id": lambda user: by_keywords(user_id=user.pk),
    "a first argument with a user": lambda user: by_first_argument(SimpleNamespace(user=user)),
    "a method": lambda user: Exporter().export(user.pk),
    "an async function": lambda user: async_to_sync(asynchronous)(user_id=user.pk),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_user_of_a_service_is_one_of_its_arguments(call: Any) -> None:
    user = make_user("FREE")
    assert call(user) == user.pk
    with pytest.raises(FeatureDeniedError, match="You have used 1 of 1 export"):
        call(user)
    assert quantities() == [1]


def test_a_refusal_carries_what_a_view_would_answer() -> None:
    gated = feature_required("api_access")(lambda user_id: user_id)
    user = make_user("PRO")
    with pytest.raises(FeatureDeniedError) as caught:
        gated(user.pk)
    assert caught.value.fields() == {
        "error": "API access: not part of the plan PRO. The plan ENTERPRISE has it.",
        "feature_locked": True,
        "feature": "api_access",
        "plan": "PRO",
        "required_plan": "ENTERPRISE",
        "limit": 0,
        "provided": 1,
        "resets_at": None,
    }


def test_a_service_that_raises_gives_back() -> None:
    @feature_limit("pdf_exports_monthly")
    def fail(*, user_id: int) -> None:
        raise ValueError(user_id)

    with pytest.raises(ValueError, match=r"\d"):
        fail(user_id=make_user("FREE").pk)
    assert quantities() == [1, -1]


def test_a_callers_rollback_gives_back() -> None:
    user = make_user("FREE")
    with transaction.atomic():
        by_id(user_id=user.pk)
        transaction.set_rollback(True)
    assert quantities() == []


def test_a_service_asks_for_what_its_getter_says() -> None:
    @feature_limit("pdf_exports_monthly", usage_getter=lambda user_id, titles: len(titles))
    def export_all(user_id: int, titles: list[str]) -> int:
        return len(titles)

    user = make_user("PRO")
    assert export_all(user.pk, ["a", "b", "c"]) == 3
    with pytest.raises(FeatureDeniedError):
        export_all(user.pk, ["a"] * 8)
    assert quantities() == [3]


def test_a_getter_must_return_a_whole_number() -> None:
    gate = feature_limit("pdf_exports_monthly", usage_getter=lambda user_id: None)
    gated = gate(lambda user_id: user_id)
    with pytest.raises(TypeError, match="usage_getter returned None"):
        gated(user_id=make_user("PRO").pk)


def test_a_service_without_a_user_is_told_how_to_name_one() -> None:
    gated = feature_required("api_access")(lambda title: title)
    with pytest.raises(TypeError, match="give it an argument user_id or user"):
        gated("A title")


def test_a_service_for_nobody_is_refused() -> None:
    with pytest.raises(NoUserError):
        by_user("A title", None)


def test_a_service_whose_limit_cannot_be_checked_is_not_called_locked() -> None:
    user = make_user("PRO")
    query("ALTER TABLE feature_plan_limits RENAME TO gone")
    with pytest.raises(LimitUncheckedError) as caught:
        by_id(user_id=user.pk)
    assert "feature_locked" not in caught.value.fields()


# ------------------------------------------------------------------------------ below a view


VISITS = {
    "wsgi": lambda user: sign_in(user).get("/report"),
    "asgi": lambda user: async_to_sync(sign_in_async(user).get)("/report"),
}


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS)
def test_a_view_whose_service_is_refused_answers_like_a_gate(visit: Any) -> None:
    response = visit(make_user("PRO"))
    assert response.status_code == 403
    told = response.json()
    assert (told["feature_locked"], told["feature"]) == (True, "custom_reports")


def test_a_gate_gives_back_where_a_service_below_it_is_refused() -> None:
    assert sign_in(make_user("PRO")).get("/export-by-service").status_code == 403
    assert quantities() == [1, -1]


def test_a_view_and_its_service_are_both_counted() -> None:
    assert sign_in(make_user("ENTERPRISE")).get("/export-by-service").status_code == 200
    assert quantities() == [1, 1]
