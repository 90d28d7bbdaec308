"""The JSON API as a browser meets it: through Django's whole stack, with a session."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from itineraries.factories import TravelItineraryFactory
from itineraries.models import TravelItinerary
from sentinel.accounts.factories import UserFactory
from sentinel.accounts.models import User
from sentinel.web.pages import MOST_ROWS
from threads import services
from threads.factories import ChatMessageFactory, ChatThreadFactory
from threads.models import ChatMessage, ChatThread
from usage import FEATURES, Per, record
from usage.models import FeatureUsageEvent

pytestmark = pytest.mark.django_db

REFUSAL = {
    "error",
    "feature_locked",
    "feature",
    "plan",
    "required_plan",
    "limit",
    "provided",
    "resets_at",
}


class Browser(Client):
    """A customer's browser, which sends the CSRF token along."""

    def __init__(self, user: User) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.user = user
        self.force_login(user)
        self.cookies["csrftoken"] = "t" * 32

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["headers"] = {"X-CSRFToken": "t" * 32} | (kwargs.get("headers") or {})
        return super().generic(*args, **kwargs)

    def send(self, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        return self.generic(method, path, raw, content_type="application/json", headers=headers)


def sign_in(plan: str = "PRO", **values: Any) -> Browser:
    return Browser(UserFactory.create(plan_id=plan, **values))


@pytest.fixture
def browser() -> Browser:
    return sign_in()


def waypoints(number: int) -> dict[str, Any]:
    return {"waypoints": [{"name": f"stop {stop}"} for stop in range(number)]}


def ids(answer: Any) -> list[int]:
    return [item["id"] for item in answer.json()["items"]]


# ----------------------------------------------------------------------------- threads, messages


def test_a_conversation_from_its_beginning_to_its_end(browser: Browser) -> None:
    begun = browser.send("/api/threads", {"title": "  Lima in May ", "topic": "health"})
    assert begun.status_code == 201
    thread = begun.json()
    assert (thread["title"], thread["topic"], thread["messages"]) == ("Lima in May", "health", 0)
    path = f"/api/threads/{thread['id']}"

    said = browser.send(f"{path}/messages", {"messages": [{"content": "Is it safe?"}]})
    assert said.status_code == 201
    assert said.json()["thread_messages"] == 1
    [message] = said.json()["messages"]
    assert (message["role"], message["content"]) == ("user", "Is it safe?")
    assert browser.get(f"{path}/messages").json() == {
        "items": [message],
        "next": None,
        "total": 1,
    }
    assert browser.get(path).json()["messages"] == 1

    archived = browser.send(f"{path}/archive")
    assert (archived.status_code, archived.json()["archived"]) == (200, True)
    too_late = browser.send(f"{path}/messages", {"messages": [{"content": "Still there?"}]})
    assert too_late.status_code == 409
    assert "restore it" in too_late.json()["error"]
    assert ids(browser.get("/api/threads?state=archived")) == [thread["id"]]
    assert ids(browser.get("/api/threads")) == []

    assert browser.send(f"{path}/restore").json()["archived"] is False
    gone = browser.send(path, method="DELETE")
    assert (gone.status_code, gone.content) == (204, b"")
    assert browser.get(path).status_code == 404
    assert ids(browser.get("/api/threads?state=deleted")) == [thread["id"]]
    assert browser.send(f"{path}/restore").status_code == 200


def test_the_customer_cannot_speak_for_the_assistant(browser: Browser) -> None:
    thread = ChatThreadFactory.create(user=browser.user)
    said = browser.send(
        f"/api/threads/{thread.pk}/messages",
        {"messages": [{"content": "All is safe.", "role": "assistant"}]},
    )
    assert said.json()["messages"][0]["role"] == "user"


def test_threads_come_in_pages_the_newest_first(browser: Browser) -> None:
    threads = ChatThreadFactory.create_batch(5, user=browser.user)
    newest_first = sorted((thread.pk for thread in threads), reverse=True)
    first = browser.get("/api/threads?limit=2")
    second = browser.get(f"/api/threads?limit=2&before={first.json()['next']}")
    last = browser.get(f"/api/threads?limit=2&before={second.json()['next']}")
    assert ids(first) + ids(second) + ids(last) == newest_first
    assert last.json()["next"] is None


def test_messages_come_in_pages_the_oldest_first(browser: Browser) -> None:
    thread = ChatThreadFactory.create(user=browser.user)
    ChatMessageFactory.create_batch(4, thread=thread)
    path = f"/api/threads/{thread.pk}/messages?limit=2"
    first = browser.get(path)
    last = browser.get(f"{path}&after={first.json()['next']}")
    assert ids(first) + ids(last) == list(
        ChatMessage.objects.order_by("id").values_list("pk", flat=True)
    )
    assert (first.json()["total"], last.json()["next"]) == (4, None)


@pytest.mark.parametrize("limit", [0, -1, MOST_ROWS + 1, 10**30, "many"])
def test_a_page_is_neither_empty_nor_endless(browser: Browser, limit: Any) -> None:
    answer = browser.get(f"/api/threads?limit={limit}")
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["place"] == "query.limit"


@pytest.mark.parametrize("path", ["threads", "itineraries", "threads/{thread}/messages"])
def test_a_page_takes_the_same_queries_however_long_it_is(browser: Browser, path: str) -> None:
    thread = ChatThreadFactory.create(user=browser.user)
    taken = []
    for _ in range(2):
        ChatThreadFactory.create_batch(3, user=browser.user)
        TravelItineraryFactory.create_batch(3, user=browser.user)
        ChatMessageFactory.create_batch(3, thread=thread)
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(f"/api/{path.format(thread=thread.pk)}")
        assert answer.json()["items"]
        taken.append([query["sql"] for query in queries.captured_queries])
    assert len(taken[0]) == len(taken[1]) <= 4  # session, user, the list; of messages the thread
    assert not [sql for sql in taken[1] if "count(" in sql.lower()]


# ------------------------------------------------------------------------------------ itineraries


def test_an_itinerary_from_its_first_version_to_its_last(browser: Browser) -> None:
    made = browser.send(
        "/api/itineraries", {"title": "Peru", "description": "By train", "data": waypoints(2)}
    )
    assert made.status_code == 201
    trip = made.json()
    assert (trip["destinations"], trip["version"], trip["data"]) == (2, 1, waypoints(2))
    path = f"/api/itineraries/{trip['id']}"

    change = {"title": "Peru and Chile", "data": waypoints(3), "version": 1}
    saved = browser.send(path, change, method="PUT")
    assert (saved.status_code, saved.json()["version"], saved.json()["destinations"]) == (200, 2, 3)
    late = browser.send(path, change, method="PUT")
    assert late.status_code == 409
    assert "has version 2 by now" in late.json()["error"]
    assert browser.get(path).json() == saved.json()

    [listed] = browser.get("/api/itineraries").json()["items"]
    assert listed == {name: value for name, value in saved.json().items() if name != "data"}
    assert browser.send(path, method="DELETE").status_code == 204
    assert browser.get(path).status_code == 404
    assert ids(browser.get("/api/itineraries?deleted=true")) == [trip["id"]]
    assert browser.send(f"{path}/restore").status_code == 200


@pytest.mark.parametrize("data", [{}, {"waypoints": None}, [{"name": "Lima"}], "by road", 7])
def test_what_the_existing_application_stored_is_shown_as_it_is(
    browser: Browser, data: Any
) -> None:
    trip = TravelItineraryFactory.create(user=browser.user, data=data)
    assert browser.get(f"/api/itineraries/{trip.pk}").json()["data"] == data


def test_a_list_of_itineraries_leaves_their_documents_in_the_database(browser: Browser) -> None:
    TravelItineraryFactory.create_batch(2, user=browser.user)
    with CaptureQueriesContext(connection) as queries:
        browser.get("/api/itineraries")
    assert '"travel_itineraries"."data"' not in queries.captured_queries[-1]["sql"]


# ------------------------------------------------------------------------------------------ usage


def test_usage_shows_every_feature_with_what_is_left(browser: Browser) -> None:
    ChatThreadFactory.create_batch(2, user=browser.user)
    record(user_id=browser.user.pk, feature="pdf_exports_monthly", quantity=4)
    answer = browser.get("/api/usage").json()
    assert answer["plan"] == "PRO"
    assert [line["feature"] for line in answer["features"]] == [f.name for f in FEATURES]
    lines = {line["feature"]: line for line in answer["features"]}
    assert lines["conversation_threads"] == {
        "feature": "conversation_threads",
        "title": "Active threads",
        "included": True,
        "limit": 50,
        "per": "account",
        "tier": None,
        "used": 2,
        "remaining": 48,
        "resets_at": None,
    }
    exports = lines["pdf_exports_monthly"]
    assert (exports["used"], exports["remaining"]) == (4, 6)
    resets_at = datetime.fromisoformat(exports["resets_at"])
    assert (resets_at.day, resets_at.hour, resets_at.utcoffset()) == (1, 0, UTC.utcoffset(None))
    assert lines["map_export"]["tier"] == "csv"
    assert lines["sms_alerts"]["included"] is False


def test_usage_takes_one_query(browser: Browser) -> None:
    with CaptureQueriesContext(connection) as queries:
        browser.get("/api/usage")
    assert len(queries) == 3  # session, user, usage


def test_a_use_is_recorded_and_counted_once_for_its_key(browser: Browser) -> None:
    path = "/api/features/pdf_exports_monthly/use"
    used = browser.send(path, {"amount": 3}, **{"Idempotency-Key": "export 1"})
    assert used.status_code == 200
    assert used.json() | {"resets_at": None} == {
        "feature": "pdf_exports_monthly",
        "plan": "PRO",
        "limit": 10,
        "used": 3,
        "remaining": 7,
        "resets_at": None,
        "duplicate": False,
    }
    again = browser.send(path, {"amount": 3}, **{"Idempotency-Key": "export 1"})
    assert (again.json()["duplicate"], again.json()["used"]) == (True, 3)
    assert FeatureUsageEvent.objects.count() == 1


def test_one_key_counts_for_each_feature_by_itself(browser: Browser) -> None:
    key = {"Idempotency-Key": "request 7"}
    for feature in ("pdf_exports_monthly", "chat_export_pdf"):
        used = browser.send(f"/api/features/{feature}/use", **key)
        assert used.json()["duplicate"] is False
    assert FeatureUsageEvent.objects.count() == 2


@pytest.mark.parametrize("feature", [feature.name for feature in FEATURES])
def test_enterprise_may_use_every_feature(feature: str) -> None:
    answer = sign_in("ENTERPRISE").send(f"/api/features/{feature}/use")
    assert answer.status_code == 200
    assert FeatureUsageEvent.objects.get().feature == feature


def test_a_tier_that_is_needed_is_compared_with_the_plans(browser: Browser) -> None:
    path = "/api/features/map_export/use"
    assert browser.send(path, {"tier": "csv"}).status_code == 200
    refused = browser.send(path, {"tier": "all"})
    assert refused.status_code == 403
    assert refused.json()["required_plan"] == "BUSINESS"


def test_a_feature_that_does_not_exist_is_not_found(browser: Browser) -> None:
    answer = browser.send("/api/features/map_exports/use")
    assert answer.status_code == 404
    assert "Did you mean 'map_export'?" in answer.json()["error"]


# --------------------------------------------------------------------------------------- refusals


def test_a_refusal_names_the_plan_that_would_admit_it() -> None:
    browser = sign_in("FREE")
    answer = browser.send("/api/features/pdf_exports_monthly/use", {"amount": 2})
    assert answer.status_code == 403
    refusal = answer.json()
    assert set(refusal) == REFUSAL
    assert refusal["feature_locked"] is True
    assert (refusal["feature"], refusal["plan"], refusal["required_plan"], refusal["limit"]) == (
        "pdf_exports_monthly",
        "FREE",
        "PRO",
        1,
    )
    assert datetime.fromisoformat(refusal["resets_at"]).day == 1
    assert not FeatureUsageEvent.objects.exists()


def test_what_a_service_refuses_is_refused_in_the_same_words() -> None:
    browser = sign_in("FREE")
    [thread, *_] = ChatThreadFactory.create_batch(5, user=browser.user)
    refusals = [
        browser.send("/api/threads", {"title": "The sixth"}),
        browser.send(f"/api/threads/{thread.pk}/archive"),
        browser.send("/api/itineraries", {"title": "Lima", "data": waypoints(1)}),
    ]
    assert [answer.status_code for answer in refusals] == [403, 403, 403]
    assert [answer.json()["feature"] for answer in refusals] == [
        "conversation_threads",
        "can_archive_threads",
        "trip_planner_destinations",
    ]
    for answer in refusals:
        assert set(answer.json()) == REFUSAL
        assert answer.json()["required_plan"] == "PRO"
    assert ChatThread.objects.count() == 5
    assert not TravelItinerary.objects.exists()


# ------------------------------------------------------------------------- who may, and what may be

EVERY_CHANGE = [
    ("POST", "threads"),
    ("POST", "threads/{thread}/archive"),
    ("POST", "threads/{thread}/restore"),
    ("DELETE", "threads/{thread}"),
    ("POST", "threads/{thread}/messages"),
    ("POST", "itineraries"),
    ("PUT", "itineraries/{trip}"),
    ("DELETE", "itineraries/{trip}"),
    ("POST", "itineraries/{trip}/restore"),
    ("POST", "features/api_access/use"),
]
EVERY_READ = [
    ("GET", "threads"),
    ("GET", "threads/{thread}"),
    ("GET", "threads/{thread}/messages"),
    ("GET", "itineraries"),
    ("GET", "itineraries/{trip}"),
    ("GET", "usage"),
]
FITTING_BODY = {
    "threads": {"title": "Mine"},
    "threads/{thread}/messages": {"messages": [{"content": "Hello"}]},
    "itineraries": {"title": "Mine", "data": {}},
    "itineraries/{trip}": {"title": "Mine", "data": {}, "version": 1},
}


@pytest.fixture
def somebodys() -> dict[str, int]:
    """A thread with a message and an itinerary, of somebody else."""
    thread = ChatMessageFactory.create().thread
    return {"thread": thread.pk, "trip": TravelItineraryFactory.create(version=1).pk}


def snapshot() -> list[list[tuple[Any, ...]]]:
    return [
        list(model.objects.order_by("pk").values_list())
        for model in (ChatThread, ChatMessage, TravelItinerary, FeatureUsageEvent)
    ]


@pytest.mark.parametrize(("method", "path"), EVERY_CHANGE + EVERY_READ)
def test_nobody_gets_in_without_a_session(
    method: str, path: str, somebodys: dict[str, int]
) -> None:
    before = snapshot()
    answer = Client().generic(
        method, f"/api/{path.format(**somebodys)}", "{}", content_type="application/json"
    )
    assert answer.status_code == 401
    assert answer.json() == {"error": "Sign in first: this needs the cookie of a session."}
    assert snapshot() == before


@pytest.mark.parametrize(("method", "path"), EVERY_CHANGE)
def test_nothing_changes_without_the_csrf_token(
    method: str, path: str, browser: Browser, somebodys: dict[str, int]
) -> None:
    before = snapshot()
    answer = browser.send(
        f"/api/{path.format(**somebodys)}",
        FITTING_BODY.get(path),
        method=method,
        **{"X-CSRFToken": "n" * 32},
    )
    assert answer.status_code == 403
    assert "X-CSRFToken" in answer.json()["error"]
    assert snapshot() == before


@pytest.mark.parametrize(
    ("method", "path"), [entry for entry in EVERY_CHANGE + EVERY_READ if "{" in entry[1]]
)
def test_what_is_somebody_elses_is_not_found(
    method: str, path: str, somebodys: dict[str, int]
) -> None:
    browser = sign_in("ENTERPRISE")
    before = snapshot()
    answer = browser.send(f"/api/{path.format(**somebodys)}", FITTING_BODY.get(path), method=method)
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("You have no ")
    assert snapshot() == before


def test_lists_hold_nothing_of_somebody_elses(browser: Browser, somebodys: dict[str, int]) -> None:
    for path in ("threads", "threads?state=deleted", "itineraries"):
        assert ids(browser.get(f"/api/{path}")) == []


def test_an_account_that_was_closed_is_not_signed_in(browser: Browser) -> None:
    User.objects.filter(pk=browser.user.pk).update(is_active=False)
    assert browser.get("/api/usage").status_code == 401


def test_an_account_that_goes_during_its_request_is_told_so(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = services.create_thread

    def delete_and_create(*, user_id: int, **values: Any) -> Any:
        User.objects.filter(pk=user_id).delete()
        return real(user_id=user_id, **values)

    monkeypatch.setattr(services, "create_thread", delete_and_create)
    answer = browser.send("/api/threads", {"title": "Lima"})
    assert (answer.status_code, answer.json()) == (401, {"error": "Your account is gone."})


@pytest.mark.parametrize(
    ("body", "place", "message"),
    [
        ({"title": "a\x00b"}, "body.title", "NUL"),
        ({"title": "\ud800"}, "body.title", "unable to parse raw data as a unicode string"),
        ({"title": "x" * 256}, "body.title", "at most 255 characters"),
        ({"title": "   "}, "body.title", "at least 1 character"),
        ({"title": 7}, "body.title", "valid string"),
        ({}, "body.title", "required"),
        ([], "body.title", "required"),
        (None, "body", "required"),
    ],
)
def test_a_wrong_title_is_told_where_and_why(
    body: Any, place: str, message: str, browser: Browser
) -> None:
    answer = browser.send("/api/threads", b"" if body is None else body)
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert problem["place"] == place
    assert message in problem["message"]


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels - 1):
        document = {"below": document}
    return document


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"note": "a\x00b"}, "NUL"),
        ({"a\x00b": 1}, "NUL"),
        ({"waypoints": [{"name": "\udfff"}]}, "surrogate"),
        (nested(33), "32 levels"),
        ({"waypoints": list(range(20_001))}, "20,000 values"),
        ([], "dictionary"),
    ],
)
def test_a_document_that_cannot_be_stored_is_refused(
    data: Any, message: str, browser: Browser
) -> None:
    answer = browser.send("/api/itineraries", {"title": "Lima", "data": data})
    assert answer.status_code == 422
    assert message in answer.json()["error"]
    assert not TravelItinerary.objects.exists()


def test_a_document_of_the_most_levels_is_stored(browser: Browser) -> None:
    answer = browser.send("/api/itineraries", {"title": "Lima", "data": nested(32)})
    assert answer.status_code == 201


def test_a_number_beyond_any_is_refused(browser: Browser) -> None:
    answer = browser.send("/api/itineraries", b'{"title": "Lima", "data": {"km": 1e999}}')
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Expecting property name"),
        (b'{"title": NaN}', "NaN is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe\xfa", "decode"),
        (b'{"data": ' + b"9" * 5_000 + b"}", "digits"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes, message: str, browser: Browser) -> None:
    answer = browser.send("/api/threads", body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_a_body_that_is_too_large_is_refused(browser: Browser) -> None:
    answer = browser.send("/api/threads", b"[" + b" " * 2_700_000 + b"]")
    assert answer.status_code == 413
    assert "2,621,440 bytes" in answer.json()["error"]


@pytest.mark.parametrize("key", ["0", "-1", str(2**31), "9" * 30, "1.5", "%00", "threads"])
def test_a_key_that_is_none_is_refused(key: str, browser: Browser) -> None:
    answer = browser.get(f"/api/threads/{key}")
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["place"] == "path.thread_id"


@pytest.mark.parametrize("version", [0, 2**31 - 1, 10**20])
def test_a_version_that_no_column_holds_is_refused(version: int, browser: Browser) -> None:
    trip = TravelItineraryFactory.create(user=browser.user)
    body = {"title": "Lima", "data": {}, "version": version}
    answer = browser.send(f"/api/itineraries/{trip.pk}", body, method="PUT")
    assert answer.status_code == 422


def test_a_use_larger_than_the_columns_is_refused(browser: Browser) -> None:
    answer = browser.send("/api/features/api_access/use", {"amount": 2**31})
    assert answer.status_code == 422


def test_a_sum_larger_than_the_columns_is_a_conflict_and_not_an_error() -> None:
    browser = sign_in("ENTERPRISE")
    path = "/api/features/travel_assessments_monthly/use"
    assert browser.send(path, {"amount": 2**31 - 1}).status_code == 200
    answer = browser.send(path)
    assert answer.status_code == 409
    assert "beyond what the column holds" in answer.json()["error"]


def test_a_database_that_is_busy_is_told_so_and_logged(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION pg_temp.be_busy() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no lock in time' USING ERRCODE = '55P03'; END $$;
            CREATE TRIGGER be_busy BEFORE INSERT ON chat_threads
                FOR EACH ROW EXECUTE FUNCTION pg_temp.be_busy()
            """
        )
    answer = browser.send("/api/threads", {"title": "Lima"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "The database is busy: try again."}
    assert "The database failed a request" in caplog.text


@pytest.mark.parametrize("key", ["", "k" * 150, "a\tb"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(key: str, browser: Browser) -> None:
    path = "/api/features/api_access/use"
    answer = browser.send(path, **{"Idempotency-Key": key})
    assert answer.status_code == 422


def test_limits_of_an_object_are_compared_with_what_there_would_be(browser: Browser) -> None:
    path = "/api/features/map_access_days/use"
    assert browser.send(path, {"amount": 30}).status_code == 200
    refused = browser.send(path, {"amount": 31})
    assert (refused.status_code, refused.json()["provided"]) == (403, 31)
    assert next(f for f in FEATURES if f.name == "map_access_days").per is Per.OBJECT


def test_there_is_no_page_that_loads_anything_from_other_hosts(browser: Browser) -> None:
    assert browser.get("/api/docs").status_code == 404
    schema = browser.get("/api/openapi.json")
    assert schema.status_code == 200
    assert schema.json()["info"]["title"] == "Sentinel"
