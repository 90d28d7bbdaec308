"""What nothing came of is given back."""

from __future__ import annotations

import logging

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from tests.gating.gated_urls import ViewError
from tests.gating.visitors import (
    lines,
    make_user,
    quantities,
    query,
    reasons,
    sign_in,
    sign_in_async,
)
from usage import usage_for

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.gating.gated_urls")]


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", 1)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
def test_an_answer_that_is_an_error_gives_back(status: int) -> None:
    user = make_user("FREE")
    client = sign_in(user)
    assert client.get("/export", {"status": status}).status_code == status
    assert (quantities(), reasons()) == ([1, -1], [f"answered {status}"])
    assert usage_for(user_id=user.pk)["pdf_exports_monthly"].used == 0
    assert client.get("/export").status_code == 200


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304])
def test_any_other_answer_is_a_use(status: int) -> None:
    assert sign_in(make_user("FREE")).get("/export", {"status": status}).status_code == status
    assert quantities() == [1]


def test_a_view_that_raises_gives_back() -> None:
    client = sign_in(make_user("FREE"))
    with pytest.raises(ViewError):
        client.get("/export", {"then": "raise"})
    assert (quantities(), reasons()) == ([1, -1], ["raised ViewError"])


def test_an_async_view_that_raises_gives_back() -> None:
    get = async_to_sync(sign_in_async(make_user("FREE")).get)
    with pytest.raises(ViewError):
        get("/export-async", {"then": "raise"})
    assert quantities() == [1, -1]


def test_an_async_answer_that_is_an_error_gives_back() -> None:
    get = async_to_sync(sign_in_async(make_user("FREE")).get)
    assert get("/export-async", {"status": 404}).status_code == 404
    assert quantities() == [1, -1]


def test_all_that_was_asked_for_is_given_back() -> None:
    sign_in(make_user("PRO")).get("/export", {"asks": 7, "status": 500})
    assert quantities() == [7, -7]


def test_a_lifetime_is_given_back_as_well() -> None:
    user = make_user("FREE", lifetime_chat_messages=2)
    client = sign_in(user)
    client.get("/features/chat_messages_monthly")
    user.refresh_from_db()
    assert user.lifetime_chat_messages == 3


@pytest.mark.parametrize(
    ("then", "status", "counted"), [("stream", 200, [1]), ("stream an error", 502, [1, -1])]
)
def test_a_streamed_answer_counts_by_its_status(then: str, status: int, counted: list[int]) -> None:
    response = sign_in(make_user("FREE")).get("/export", {"then": then})
    assert response.status_code == status
    assert quantities() == counted
    b"".join(response.streaming_content)  # type: ignore[attr-defined]


def test_a_repeated_key_gives_nothing_back() -> None:
    client = sign_in(make_user("PRO"))
    key = {"Idempotency-Key": "once"}
    client.get("/export", headers=key)
    assert client.get("/export", {"status": 500}, headers=key).status_code == 409
    assert quantities() == [1]


def test_what_cannot_be_given_back_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    query(
        "ALTER TABLE feature_usage_events"
        " ADD CONSTRAINT nothing_back CHECK (quantity > 0) NOT VALID"
    )
    with caplog.at_level(logging.WARNING, "usage"):
        response = sign_in(make_user("FREE")).get("/export", {"status": 418})
    assert response.status_code == 418
    [line] = lines(caplog.records, "Failed to give back feature usage")
    assert "nothing_back" in line["reason"]
    assert (line["feature"], bool(line["event_id"])) == ("pdf_exports_monthly", True)
    assert quantities() == [1]


# -------------------------------------------------------------------------------- ATOMIC_REQUESTS


@pytest.mark.usefixtures("atomic_requests")
def test_the_rollback_of_a_request_gives_back() -> None:
    client = sign_in(make_user("FREE"))
    with pytest.raises(ViewError):
        client.get("/export", {"then": "raise"})
    assert quantities() == []
    assert client.get("/export").status_code == 200


@pytest.mark.usefixtures("atomic_requests")
def test_an_error_that_is_answered_gives_back_in_the_requests_transaction() -> None:
    client = sign_in(make_user("FREE"))
    assert client.get("/export", {"status": 404}).status_code == 404
    assert quantities() == [1, -1]
    assert client.get("/export").status_code == 200


@pytest.mark.usefixtures("atomic_requests")
def test_a_view_that_rolls_back_by_itself_has_given_back(caplog: pytest.LogCaptureFixture) -> None:
    client = sign_in(make_user("FREE"))
    assert client.get("/export", {"then": "roll back"}).status_code == 500
    assert quantities() == []
    assert lines(caplog.records, "Failed to give back feature usage") == []


@pytest.mark.usefixtures("atomic_requests")
def test_a_view_that_breaks_the_transaction_is_given_back_by_the_rollback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = sign_in(make_user("FREE"))
    client.raise_request_exception = False
    assert client.get("/export", {"then": "break the transaction"}).status_code == 500
    assert quantities() == []
    assert lines(caplog.records, "Failed to give back feature usage") == []


@pytest.mark.usefixtures("atomic_requests")
def test_an_admitted_request_commits_its_use_with_itself() -> None:
    assert sign_in(make_user("FREE")).get("/export").status_code == 200
    assert quantities() == [1]
