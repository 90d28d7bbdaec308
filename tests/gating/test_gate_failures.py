"""When the database refuses to count, or to say what is allowed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections

from tests.gating.visitors import (
    lines,
    make_user,
    quantities,
    query,
    reasons,
    sign_in,
    sign_in_async,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client
    from pytest_django import DjangoDbBlocker
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.urls("tests.gating.gated_urls")

TRACKING = "Failed to track feature usage"
CHECKING = "Failed to check feature limit"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "usage")
    return caplog


@pytest.fixture
def no_ledger(db: None) -> None:
    """The database can compare, and not record."""
    query("ALTER TABLE feature_usage_events RENAME TO gone")


@pytest.fixture
def no_limits(db: None) -> None:
    """The database cannot compare."""
    query("ALTER TABLE feature_plan_limits RENAME TO gone")


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", 1)


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Requests in autocommit, as a server has them; the rows are removed afterwards."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
        query("TRUNCATE users CASCADE; TRUNCATE django_session")
        connections.close_all()


# ------------------------------------------------------------------------------- not recorded


@pytest.mark.usefixtures("no_ledger")
@pytest.mark.parametrize("feature", ["email_alerts", "pdf_exports_monthly", "map_export"])
def test_a_use_that_cannot_be_recorded_is_answered_and_logged(
    feature: str, log: pytest.LogCaptureFixture
) -> None:
    user = make_user("PRO")
    response = sign_in(user).get(f"/features/{feature}")
    assert (response.status_code, response.json()) == (200, {"fine": True})
    [line] = lines(log.records, TRACKING)
    assert (line["feature"], line["user_id"]) == (feature, user.pk)
    assert 'relation "public.feature_usage_events" does not exist' in line["reason"]


@pytest.mark.usefixtures("no_ledger", "atomic_requests")
def test_a_use_that_cannot_be_recorded_leaves_the_requests_transaction_usable(
    log: pytest.LogCaptureFixture,
) -> None:
    response = sign_in(make_user("PRO")).get("/count")
    assert (response.status_code, response.json()) == (200, {"users": 1})
    assert len(lines(log.records, TRACKING)) == 1


@pytest.mark.usefixtures("no_ledger")
def test_a_limit_binds_even_where_nothing_can_be_recorded() -> None:
    assert sign_in(make_user("FREE")).get("/features/map_export").status_code == 403
    assert sign_in(make_user("PRO")).get("/export", {"asks": 11}).status_code == 403


@pytest.mark.usefixtures("no_ledger")
def test_an_async_use_that_cannot_be_recorded_is_answered_and_logged(
    log: pytest.LogCaptureFixture,
) -> None:
    assert async_to_sync(sign_in_async(make_user("PRO")).get)("/whole-async").status_code == 200
    assert len(lines(log.records, TRACKING)) == 1


# -------------------------------------------------------------------------------- not checked


@pytest.mark.usefixtures("no_limits")
def test_what_cannot_be_checked_is_put_off_and_not_called_locked(
    log: pytest.LogCaptureFixture,
) -> None:
    response = sign_in(make_user("PRO")).get("/export")
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert list(response.json()) == ["error"]
    [line] = lines(log.records, CHECKING)
    assert (line["admitted"], "feature_plan_limits" in line["reason"]) == (False, True)
    assert lines(log.records, TRACKING) == []


@pytest.mark.usefixtures("no_limits", "atomic_requests")
def test_what_cannot_be_checked_goes_on_where_the_setting_allows_it(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    settings.SENTINEL_LIMIT_UNCHECKED = "allow"
    response = sign_in(make_user("FREE")).get("/count")
    assert (response.status_code, response.json()) == (200, {"users": 1})
    assert lines(log.records, CHECKING)[0]["admitted"]
    assert len(lines(log.records, TRACKING)) == 1


@pytest.mark.usefixtures("committed")
def test_a_session_that_was_ended_denies(log: pytest.LogCaptureFixture) -> None:
    assert sign_in(make_user("PRO")).get("/count-after-loss").status_code == 503
    [line] = lines(log.records, CHECKING)
    assert "terminat" in line["reason"]


@pytest.mark.usefixtures("committed")
def test_a_session_that_was_ended_is_replaced_before_the_view(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    settings.SENTINEL_LIMIT_UNCHECKED = "allow"
    response = sign_in(make_user("PRO")).get("/count-after-loss")
    assert (response.status_code, response.json()) == (200, {"users": 1})
    assert len(lines(log.records, TRACKING)) == 1


@pytest.mark.usefixtures("committed", "atomic_requests")
def test_a_session_that_was_ended_denies_inside_a_transaction_whatever_the_setting(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    settings.SENTINEL_LIMIT_UNCHECKED = "allow"
    client = sign_in(make_user("PRO"))
    assert client.get("/count-after-loss").status_code == 503
    assert not lines(log.records, CHECKING)[0]["admitted"]
    assert client.get("/count").json() == {"users": 1}


@pytest.mark.usefixtures("committed")
def test_a_view_that_loses_its_session_is_given_back_by_a_new_one() -> None:
    client = sign_in(make_user("FREE"))
    assert client.get("/export", {"then": "lose the connection"}).status_code == 500
    assert (quantities(), reasons()) == ([1, -1], ["answered 500"])


@pytest.fixture
def locked_month(committed: None) -> Iterator[Client]:
    """A customer's month, on which another session holds its lock."""
    client = sign_in(make_user("PRO"))
    client.get("/export")
    other = connection.copy()
    try:
        with other.cursor() as holder:
            holder.execute("BEGIN; SELECT FROM feature_usage FOR UPDATE")
        yield client
    finally:
        other.close()


def test_a_use_that_waits_too_long_for_a_lock_is_not_recorded(
    locked_month: Client, log: pytest.LogCaptureFixture
) -> None:
    query("SET lock_timeout = '20ms'")
    assert locked_month.get("/export").status_code == 200
    [line] = lines(log.records, TRACKING)
    assert line["reason"] == "canceling statement due to lock timeout"
    assert quantities() == [1]


@pytest.mark.parametrize(("unchecked", "status"), [("deny", 503), ("allow", 200)])
def test_a_statement_that_takes_too_long_is_a_limit_that_was_not_checked(
    unchecked: str,
    status: int,
    locked_month: Client,
    settings: Settings,
    log: pytest.LogCaptureFixture,
) -> None:
    settings.SENTINEL_LIMIT_UNCHECKED = unchecked
    query("SET statement_timeout = '200ms'")
    assert locked_month.get("/export").status_code == status
    assert lines(log.records, CHECKING)[0]["reason"].endswith("due to statement timeout")
    assert quantities() == [1]


# ------------------------------------------------------------------------------------- shadow


@pytest.fixture
def shadow(db: None, settings: Settings) -> None:
    settings.SENTINEL_GATES_SHADOW = True


@pytest.mark.usefixtures("shadow")
def test_in_shadow_mode_nobody_is_refused_and_the_log_says_who_would_be(
    log: pytest.LogCaptureFixture,
) -> None:
    user = make_user("FREE")
    client = sign_in(user)
    assert [client.get("/export").status_code for _ in range(3)] == [200, 200, 200]
    told = lines(log.records, "feature_denied")
    assert [(line["shadow"], line["provided"], line["user_id"]) for line in told] == [
        (True, 1, user.pk),
        (True, 2, user.pk),
    ]
    assert quantities() == [1, 1, 1]


@pytest.mark.usefixtures("shadow")
def test_in_shadow_mode_even_what_is_disabled_goes_on(log: pytest.LogCaptureFixture) -> None:
    assert sign_in(make_user("FREE")).get("/everything").status_code == 200
    [line] = lines(log.records, "feature_denied")
    assert (line["reason"], line["required_plan"]) == ("disabled", "BUSINESS")


@pytest.mark.usefixtures("shadow")
def test_in_shadow_mode_a_visitor_goes_on(client: Any, log: pytest.LogCaptureFixture) -> None:
    assert client.get("/export").status_code == 200
    assert lines(log.records, "feature_denied")[0]["user_id"] is None
    assert quantities() == []


@pytest.mark.usefixtures("shadow")
def test_in_shadow_mode_an_async_visitor_goes_on(async_client: Any) -> None:
    assert async_to_sync(async_client.get)("/export-async").status_code == 200
    assert quantities() == []


@pytest.mark.usefixtures("shadow", "no_limits")
def test_in_shadow_mode_what_cannot_be_checked_goes_on() -> None:
    assert sign_in(make_user("FREE")).get("/export").status_code == 200


@pytest.mark.usefixtures("shadow")
def test_in_shadow_mode_a_repeated_key_goes_on_and_counts_once() -> None:
    client = sign_in(make_user("FREE"))
    key = {"Idempotency-Key": "once"}
    came = [client.get("/export", {"status": 500 * n or 200}, headers=key) for n in range(2)]
    assert [response.status_code for response in came] == [200, 500]
    assert quantities() == [1]


# ----------------------------------------------------------------------------------- settings


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"), [("SENTINEL_LIMIT_UNCHECKED", "maybe"), ("SENTINEL_GATES_SHADOW", "yes")]
)
def test_a_setting_that_means_nothing_is_an_error(
    name: str, value: str, settings: Settings
) -> None:
    setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured, match=f"{name}='{value}': give"):
        sign_in(make_user("PRO")).get("/export")
