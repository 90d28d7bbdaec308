"""Who is let through a gate, and what the others are told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils.dateparse import parse_datetime

from tests.gating import gated_urls
from tests.gating.visitors import lines, make_user, quantities, sign_in, sign_in_async
from tests.price_list import CELLS, Cell
from usage import Kind, Per, find_feature, record, usage_for
from usage.factories import LimitOverrideFactory

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.gating.gated_urls")]

COUNTED = {Per.MONTH, Per.LIFETIME}


def visit(cell: Cell, *, more: int = 0) -> tuple[int, dict[str, Any]]:
    """Ask for as much as a plan allows and so much more, be it in uses or in things."""
    user = make_user(cell.plan)
    asks = (cell.limit or 0) + more
    if cell.per in COUNTED:
        if asks > 1:
            record(user_id=user.pk, feature=cell.feature, quantity=asks - 1)
        asks = 1
    response = sign_in(user).get(f"/features/{cell.feature}", {"asks": max(asks, 1)})
    return response.status_code, response.json()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.limit is None], ids=str)
def test_what_a_plan_has_without_limit_is_let_through_and_recorded(cell: Cell) -> None:
    asked = 1_000 if find_feature(cell.feature).kind is Kind.METERED else 1
    status, _ = visit(cell, more=asked)
    assert status == 200
    assert len(quantities()) in {1, 2}


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.limit == 0], ids=str)
def test_what_a_plan_does_not_have_is_locked_and_names_the_plan_that_has_it(cell: Cell) -> None:
    status, told = visit(cell)
    having = [other.plan for other in CELLS if other.feature == cell.feature and other.limit != 0]
    assert status == 403
    assert (told["feature_locked"], told["limit"], told["plan"]) == (True, 0, cell.plan)
    assert told["required_plan"] == having[0]
    assert quantities() == []


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.limit], ids=str)
@pytest.mark.parametrize(("more", "status"), [(-1, 200), (0, 200), (1, 403)])
def test_a_limit_lets_through_up_to_itself(cell: Cell, more: int, status: int) -> None:
    came, told = visit(cell, more=more)
    assert came == status
    if status == 403:
        asked = cell.limit if cell.per in COUNTED else cell.limit + 1  # type: ignore[operator]
        assert (told["limit"], told["provided"]) == (cell.limit, asked)


def test_a_refusal_has_all_fields_and_no_others() -> None:
    user = make_user("FREE")
    client = sign_in(user)
    client.get("/export")
    response = client.get("/export")
    told = response.json()
    assert response.status_code == 403
    resets_at = parse_datetime(told.pop("resets_at"))
    assert resets_at == usage_for(user_id=user.pk)["pdf_exports_monthly"].resets_at
    assert told == {
        "error": "You have used 1 of 1 export of this month. The plan PRO has it.",
        "feature_locked": True,
        "feature": "pdf_exports_monthly",
        "plan": "FREE",
        "required_plan": "PRO",
        "limit": 1,
        "provided": 1,
    }


def test_the_log_has_the_fields_of_a_refusal_and_nothing_personal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = make_user("FREE", email="somebody@example.org")
    with caplog.at_level(logging.INFO, "usage"):
        told = sign_in(user).get("/features/map_export?secret=word").json()
    [line] = lines(caplog.records, "feature_denied")
    assert {name: line[name] for name in told} == told
    assert (line["user_id"], line["reason"], line["shadow"]) == (user.pk, "disabled", False)
    assert 0 < line["duration_ms"] < 60_000
    assert "somebody" not in str(line)
    assert "secret" not in str(line)


@pytest.mark.parametrize(
    ("plan", "status", "limit", "required"),
    [
        ("FREE", 403, 0, "BUSINESS"),
        ("PRO", 403, "csv", "BUSINESS"),
        ("BUSINESS", 200, None, None),
        ("ENTERPRISE", 200, None, None),
    ],
)
def test_a_tier_is_let_through_where_it_is_one_of_those_that_will_do(
    plan: str, status: int, limit: int | str | None, required: str | None
) -> None:
    response = sign_in(make_user(plan)).get("/everything")
    told = response.json()
    assert response.status_code == status
    assert (told.get("limit"), told.get("required_plan")) == (limit, required)
    assert told.get("provided") == ("all" if status == 403 else None)


@pytest.mark.parametrize(
    ("address", "required"), [("/call-api", "ENTERPRISE"), ("/analyse-route", "ENTERPRISE")]
)
def test_a_gates_own_plan_is_named_unless_it_is_not_enough(address: str, required: str) -> None:
    assert sign_in(make_user("FREE")).get(address).json()["required_plan"] == required


@pytest.mark.parametrize(
    ("plan", "asks", "status", "error"),
    [
        ("FREE", 3, 403, "Trips are planned on paid plans."),
        ("PRO", 6, 403, "6 of 5 destinations: take BUSINESS."),
        ("PRO", 0, 400, "Destinations of a trip: this asks for no destinations."),
        ("PRO", -1, 400, "Destinations of a trip: this asks for -1 destinations."),
        ("PRO", 10**12, 400, f"Destinations of a trip: this asks for {10**12} destinations."),
    ],
)
def test_a_gate_has_words_of_its_own(plan: str, asks: int, status: int, error: str) -> None:
    response = sign_in(make_user(plan)).get("/plan-trip", {"asks": asks})
    assert response.status_code == status
    assert response.json()["error"].split(" Ask for ")[0] == error


def test_asking_for_nothing_is_let_through_at_the_limit() -> None:
    client = sign_in(make_user("FREE"))
    assert [client.get("/export", {"asks": n}).status_code for n in (1, 0, 1)] == [200, 200, 403]
    assert quantities() == [1]


def test_an_override_is_the_limit() -> None:
    user = make_user("PRO")
    LimitOverrideFactory.create(user=user, feature="pdf_exports_monthly", usage_limit=2)
    client = sign_in(user)
    assert [client.get("/export").status_code for _ in range(3)] == [200, 200, 403]
    assert client.get("/export").json()["required_plan"] is None


@pytest.mark.parametrize("address", ["/export", "/export-async", "/whole", "/whole-async"])
def test_whoever_has_not_signed_in_is_told_to(address: str) -> None:
    response = (
        async_to_sync(AsyncClient().get)(address)
        if address.endswith("async")
        else Client().get(address)
    )
    assert response.status_code == 401
    assert response.json() == {"error": "Sign in first: what is allowed depends on your plan."}


def test_a_request_that_is_let_through_costs_one_round_trip() -> None:
    request = RequestFactory().get("/export")
    request.user = make_user("PRO")
    with CaptureQueriesContext(connection) as queries:
        assert gated_urls.export(request).status_code == 200
    assert len(queries) == 1


def test_an_async_request_that_is_let_through_costs_one_round_trip() -> None:
    request = AsyncRequestFactory().get("/export-async")
    request.user = make_user("PRO")
    with CaptureQueriesContext(connection) as queries:
        assert async_to_sync(gated_urls.export_async)(request).status_code == 200
    assert len(queries) == 1


def test_a_refused_request_costs_one_round_trip_as_well() -> None:
    request = RequestFactory().get("/call-api")
    request.user = make_user("PRO")
    with CaptureQueriesContext(connection) as queries:
        assert gated_urls.call_api(request).status_code == 403
    assert len(queries) == 1


# ----------------------------------------------------------------------------- kinds of views


@pytest.mark.parametrize("address", ["/whole", "/export"])
def test_views_that_are_functions_or_classes_are_gated_alike(address: str) -> None:
    client = sign_in(make_user("FREE"))
    assert [client.get(address).status_code for _ in range(2)] == [200, 403]
    assert quantities() == [1]


def test_a_gated_method_leaves_the_others_open() -> None:
    client = sign_in(make_user("FREE"))
    assert [client.post("/methods").status_code for _ in range(2)] == [200, 403]
    assert client.get("/methods").status_code == 200
    assert quantities() == [1]


def test_the_outer_gate_gives_back_what_the_inner_one_refuses() -> None:
    client = sign_in(make_user("FREE"))
    assert client.post("/decorated-method").status_code == 403
    assert quantities() == [1, -1]


@pytest.mark.parametrize("address", ["/export-async", "/whole-async", "/decorated-dispatch"])
def test_async_views_are_gated_like_others(address: str) -> None:
    get = async_to_sync(sign_in_async(make_user("FREE")).get)
    assert [get(address).status_code for _ in range(2)] == [200, 403]
    assert quantities() == [1]


@pytest.mark.parametrize("address", ["/export-async", "/whole-async"])
def test_async_views_are_gated_under_wsgi(address: str) -> None:
    client = sign_in(make_user("FREE"))
    assert [client.get(address).status_code for _ in range(2)] == [200, 403]


def test_an_async_getter_says_how_much_is_asked_for() -> None:
    get = async_to_sync(sign_in_async(make_user("PRO")).get)
    assert [get("/export-many", {"asks": n}).status_code for n in (7, 4, 3)] == [200, 403, 200]
    assert quantities() == [7, 3]


def test_what_is_not_tracked_is_compared_and_not_counted() -> None:
    client = sign_in(make_user("FREE"))
    assert [client.get("/preview").status_code for _ in range(2)] == [200, 200]
    client.get("/export")
    assert client.get("/preview").status_code == 403
    assert quantities() == [1]


# ------------------------------------------------------------------------------ idempotency keys


def test_a_key_lets_one_request_through_and_counts_once() -> None:
    client = sign_in(make_user("PRO"))
    came = [client.get("/export", headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert [response.status_code for response in came] == [200, 409]
    assert "feature_locked" not in came[1].json()
    assert quantities() == [1]


def test_a_key_is_no_way_past_a_limit() -> None:
    client = sign_in(make_user("FREE"))
    came = [client.get("/export", headers={"Idempotency-Key": "mine"}) for _ in range(3)]
    assert [response.status_code for response in came] == [200, 409, 409]


def test_one_key_passes_the_gates_of_two_features() -> None:
    client = sign_in(make_user("PRO"))
    response = client.get("/export-chat", headers={"Idempotency-Key": "once"})
    assert response.status_code == 200
    assert quantities() == [1, 1]


def test_a_refused_request_leaves_its_key_free() -> None:
    user = make_user("FREE")
    client = sign_in(user)
    key = {"Idempotency-Key": "again"}
    assert client.get("/features/email_alerts", headers=key).status_code == 403
    type(user).objects.filter(pk=user.pk).update(plan_id="PRO")
    assert client.get("/features/email_alerts", headers=key).status_code == 200


@pytest.mark.parametrize("key", ["", "k" * 150, "tab\tulator"])
def test_a_key_that_cannot_be_stored_is_refused(key: str) -> None:
    response = sign_in(make_user("PRO")).get("/export", headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"Idempotency-Key: {len(key)} characters.")
    assert quantities() == []
