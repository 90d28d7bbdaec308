"""Changes of threads and itineraries, within the limits of a plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import DatabaseError, DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from itineraries.models import TravelItinerary
from itineraries.services import (
    create_itinerary,
    delete_itinerary,
    restore_itinerary,
    save_itinerary,
)
from sentinel.accounts.factories import UserFactory
from sentinel.service_errors import ConflictError, NotFoundError
from threads.active_threads import ACTIVE_THREADS_UP_TO_LIMIT
from threads.factories import ChatMessageFactory, ChatThreadFactory
from threads.models import ChatMessage, ChatThread
from threads.records import AddedMessages, NewMessage, Role
from threads.services import (
    add_messages,
    archive_thread,
    create_thread,
    delete_thread,
    restore_thread,
)
from usage import FeatureDeniedError, UnknownUserError, record, usage_for
from usage.factories import LimitOverrideFactory
from usage.models import FeatureUsageEvent

if TYPE_CHECKING:
    from sentinel.accounts.models import User

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
EVERYWHERE = [("FREE", 5), ("PRO", 50), ("BUSINESS", 100)]


def make_user(plan: str, **values: Any) -> User:
    return UserFactory.create(plan_id=plan, **values)


def make_threads(user: User, number: int, **values: Any) -> list[ChatThread]:
    return [ChatThreadFactory.create(user=user, **values) for _ in range(number)]


def say(user: User, thread: ChatThread, *roles: Role) -> AddedMessages:
    messages = [NewMessage(role=role, content="Is it safe?") for role in roles]
    return add_messages(user_id=user.pk, thread_id=thread.pk, messages=messages, now=NOW)


def used(user: User, feature: str, *, now: datetime = NOW) -> int | None:
    return usage_for(user_id=user.pk, now=now)[feature].used


def document(destinations: int) -> dict[str, Any]:
    return {"waypoints": [{"name": f"stop {number}"} for number in range(destinations)]}


# --------------------------------------------------------------------------------- active threads


@pytest.mark.parametrize(("plan", "limit"), EVERYWHERE)
def test_the_last_active_thread_of_a_plan_is_created_and_the_next_refused(
    plan: str, limit: int
) -> None:
    user = make_user(plan)
    make_threads(user, limit - 1)
    created = create_thread(user_id=user.pk, title="Lima", topic="health", now=NOW)
    assert (created.title, created.topic, created.messages) == ("Lima", "health", 0)
    assert not created.archived
    with pytest.raises(FeatureDeniedError):
        create_thread(user_id=user.pk, title="One more", now=NOW)
    assert user.chat_threads.count() == limit


def test_enterprise_has_as_many_threads_as_it_wants() -> None:
    user = make_user("ENTERPRISE")
    make_threads(user, 101)
    create_thread(user_id=user.pk, title="And one more", now=NOW)


def test_archived_and_deleted_threads_take_no_place() -> None:
    user = make_user("FREE")
    make_threads(user, 4)
    make_threads(user, 3, is_archived=True)
    make_threads(user, 3, is_deleted=True)
    create_thread(user_id=user.pk, title="The fifth", now=NOW)


@pytest.mark.parametrize("column", ["is_archived", "is_deleted"])
def test_a_thread_that_does_not_say_whether_it_is_away_is_active(column: str) -> None:
    user = make_user("FREE")
    make_threads(user, 5, **{column: None})
    with pytest.raises(FeatureDeniedError):
        create_thread(user_id=user.pk, title="The sixth", now=NOW)


def test_threads_of_others_take_no_place() -> None:
    make_threads(make_user("FREE"), 5)
    create_thread(user_id=make_user("FREE").pk, title="The first", now=NOW)


def test_a_limit_of_the_users_own_counts_instead_of_the_plans() -> None:
    user = make_user("FREE")
    LimitOverrideFactory.create(user=user, feature="conversation_threads", usage_limit=6)
    make_threads(user, 5)
    create_thread(user_id=user.pk, title="The sixth", now=NOW)
    with pytest.raises(FeatureDeniedError):
        create_thread(user_id=user.pk, title="The seventh", now=NOW)


def test_a_trial_has_room_until_its_last_second() -> None:
    user = make_user("PRO", is_trial=True, trial_ends_at=NOW)
    make_threads(user, 5)
    create_thread(user_id=user.pk, title="In time", now=NOW - timedelta(seconds=1))
    with pytest.raises(FeatureDeniedError):
        create_thread(user_id=user.pk, title="Too late", now=NOW)


def test_no_more_threads_are_read_than_the_limit() -> None:
    user = make_user("FREE")
    ChatThreadFactory.create_batch(40, user=user)
    ChatThreadFactory.create_batch(40, user=user, is_archived=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_threads")
        cursor.execute("SET LOCAL enable_seqscan = off")  # so few rows fit into one page
        cursor.execute(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {ACTIVE_THREADS_UP_TO_LIMIT}",
            {"user_id": user.pk, "now": NOW},
        )
        [([plan],)] = cursor.fetchall()
    scans = list(scans_of(plan["Plan"], "chat_threads"))
    assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans) == 5
    assert not [scan for scan in scans if scan.get("Rows Removed by Filter")]


def scans_of(node: dict[str, Any], table: str) -> Any:
    if node.get("Relation Name") == table:
        yield node
    for below in node.get("Plans", ()):
        yield from scans_of(below, table)


def test_usage_shows_the_active_threads() -> None:
    user = make_user("PRO")
    make_threads(user, 3)
    make_threads(user, 2, is_archived=True)
    assert used(user, "conversation_threads") == 3


def test_nobody_begins_a_thread_for_a_user_who_is_not_there() -> None:
    with pytest.raises(UnknownUserError, match=r"There is no user 0\."):
        create_thread(user_id=0, title="Nobody's")


# ---------------------------------------------------------------------- archive, restore, delete


def test_a_thread_is_archived_where_the_plan_has_archives() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    archived = archive_thread(user_id=user.pk, thread_id=thread.pk, now=NOW)
    assert (archived.archived, archived.archived_at) == (True, NOW)
    again = archive_thread(user_id=user.pk, thread_id=thread.pk, now=NOW + timedelta(days=1))
    assert again.archived_at == NOW


def test_free_has_no_archives() -> None:
    user = make_user("FREE")
    [thread] = make_threads(user, 1)
    with pytest.raises(FeatureDeniedError):
        archive_thread(user_id=user.pk, thread_id=thread.pk, now=NOW)
    thread.refresh_from_db()
    assert not thread.is_archived


@pytest.mark.parametrize("away", ["is_archived", "is_deleted"])
def test_a_thread_is_restored_into_the_last_free_place_and_not_beyond(away: str) -> None:
    user = make_user("FREE")
    make_threads(user, 4)
    first, second = make_threads(user, 2, **{away: True})
    restored = restore_thread(user_id=user.pk, thread_id=first.pk, now=NOW)
    assert (restored.archived, restored.archived_at) == (False, None)
    with pytest.raises(FeatureDeniedError):
        restore_thread(user_id=user.pk, thread_id=second.pk, now=NOW)
    assert used(user, "conversation_threads") == 5


def test_an_active_thread_stays_active_when_it_is_restored_on_a_full_plan() -> None:
    user = make_user("FREE")
    [thread, *_] = make_threads(user, 5)
    assert not restore_thread(user_id=user.pk, thread_id=thread.pk, now=NOW).archived


def test_a_deleted_thread_is_out_of_reach_until_it_is_restored() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    delete_thread(user_id=user.pk, thread_id=thread.pk)
    for change in (archive_thread, delete_thread):
        with pytest.raises(NotFoundError):
            change(user_id=user.pk, thread_id=thread.pk)
    with pytest.raises(NotFoundError):
        say(user, thread, Role.ASSISTANT)
    restore_thread(user_id=user.pk, thread_id=thread.pk)
    say(user, thread, Role.ASSISTANT)


@pytest.mark.parametrize("change", [archive_thread, restore_thread, delete_thread])
def test_the_thread_of_somebody_else_is_not_there(change: Any) -> None:
    [thread] = make_threads(make_user("PRO"), 1)
    with pytest.raises(NotFoundError, match=f"You have no thread {thread.pk}"):
        change(user_id=make_user("PRO").pk, thread_id=thread.pk)


# --------------------------------------------------------------------------------------- messages


def test_messages_are_stored_in_their_order_and_counted() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    added = say(user, thread, Role.USER, Role.ASSISTANT, Role.USER)
    assert [message.role for message in added.messages] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert [message.id for message in added.messages] == list(
        thread.messages.order_by("id").values_list("pk", flat=True)
    )
    thread.refresh_from_db()
    assert added.thread_messages == thread.thread_messages_count == 3


def test_only_what_the_customer_says_is_used_of_the_month() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    say(user, thread, Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER)
    say(user, thread, Role.ASSISTANT)
    assert used(user, "chat_messages_monthly") == 2


def test_a_thread_takes_as_many_messages_as_the_plan_says_and_no_more() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    ChatMessageFactory.create_batch(49, thread=thread)
    with pytest.raises(FeatureDeniedError):
        say(user, thread, Role.ASSISTANT, Role.ASSISTANT)
    say(user, thread, Role.ASSISTANT)
    with pytest.raises(FeatureDeniedError):
        say(user, thread, Role.ASSISTANT)
    assert thread.messages.count() == 50


def test_a_message_too_many_for_its_thread_is_not_used_of_the_month() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    ChatMessageFactory.create_batch(50, thread=thread)
    with pytest.raises(FeatureDeniedError):
        say(user, thread, Role.USER)
    assert used(user, "chat_messages_monthly") == 0


def test_a_free_lifetime_has_three_messages() -> None:
    user = make_user("FREE")
    first, second = make_threads(user, 2)
    say(user, first, Role.USER, Role.USER)
    say(user, second, Role.USER)
    with pytest.raises(FeatureDeniedError):
        say(user, second, Role.USER)
    user.refresh_from_db()
    assert user.lifetime_chat_messages == 3
    assert ChatMessage.objects.count() == 3


def test_a_month_that_is_used_up_takes_no_message() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    record(user_id=user.pk, feature="chat_messages_monthly", quantity=499, occurred_at=NOW)
    with pytest.raises(FeatureDeniedError):
        say(user, thread, Role.USER, Role.USER)
    say(user, thread, Role.USER)
    with pytest.raises(FeatureDeniedError):
        say(user, thread, Role.USER)
    assert thread.messages.count() == 1


def test_a_message_that_cannot_be_stored_is_not_used() -> None:
    user = make_user("FREE")
    [thread] = make_threads(user, 1)
    longer_than_its_column = "customer service agent"
    with pytest.raises(DataError):
        add_messages(
            user_id=user.pk,
            thread_id=thread.pk,
            messages=[
                NewMessage(role=Role.USER, content="Is it safe?"),
                NewMessage(role=longer_than_its_column, content="Yes."),  # type: ignore[arg-type]
            ],
        )
    user.refresh_from_db()
    assert user.lifetime_chat_messages == 0
    assert not FeatureUsageEvent.objects.exists()


def test_an_archived_thread_takes_no_message_and_uses_none() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1, is_archived=True)
    with pytest.raises(ConflictError, match="restore it"):
        say(user, thread, Role.USER)
    assert used(user, "chat_messages_monthly") == 0


def test_a_thread_of_somebody_else_takes_no_message_and_uses_none() -> None:
    user = make_user("PRO")
    [thread] = make_threads(make_user("PRO"), 1)
    with pytest.raises(NotFoundError):
        say(user, thread, Role.USER)
    assert used(user, "chat_messages_monthly") == 0


def test_nothing_to_say_is_a_mistake_of_the_caller() -> None:
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    with pytest.raises(ValueError, match="at least one"):
        say(user, thread)


def test_a_message_takes_the_same_number_of_queries_in_a_long_thread() -> None:
    user = make_user("ENTERPRISE")
    short, long = make_threads(user, 2)
    ChatMessageFactory.create_batch(30, thread=long)
    taken = []
    for thread in (short, long):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            say(user, thread, Role.USER)
        taken.append(
            [query for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]
        )
    assert [len(queries) for queries in taken] == [4, 4]  # use, lock, compare, insert
    assert not [query for query in taken[1] if "count(" in query["sql"].lower()]


# ------------------------------------------------------------------------------------ itineraries


@pytest.mark.parametrize(("plan", "limit"), [("PRO", 5), ("BUSINESS", 10)])
def test_an_itinerary_has_as_many_destinations_as_the_plan_says_and_no_more(
    plan: str, limit: int
) -> None:
    user = make_user(plan)
    made = create_itinerary(user_id=user.pk, title="South", data=document(limit), now=NOW)
    assert (made.destinations, made.version) == (limit, 1)
    for change in (
        lambda data: create_itinerary(user_id=user.pk, title="North", data=data, now=NOW),
        lambda data: save_itinerary(
            user_id=user.pk, itinerary_id=made.id, version=1, title="West", data=data, now=NOW
        ),
    ):
        with pytest.raises(FeatureDeniedError):
            change(document(limit + 1))
    [stored] = TravelItinerary.objects.filter(user=user)
    assert (stored.title, stored.version, stored.destinations_count) == ("South", 1, limit)


def test_free_plans_a_trip_without_destinations_alone() -> None:
    user = make_user("FREE")
    assert create_itinerary(user_id=user.pk, title="Somewhere", data={}).destinations == 0
    with pytest.raises(FeatureDeniedError):
        create_itinerary(user_id=user.pk, title="Lima", data=document(1))


@pytest.mark.parametrize("waypoints", [None, "Amman; Aqaba", {"name": "Baku"}, 3])
def test_waypoints_that_are_no_list_are_no_destinations(waypoints: Any) -> None:
    user = make_user("FREE")
    made = create_itinerary(user_id=user.pk, title="A draft", data={"waypoints": waypoints})
    assert made.destinations == 0


def test_saving_a_trip_is_recorded_once_as_a_use() -> None:
    user = make_user("PRO")
    made = create_itinerary(user_id=user.pk, title="Lima", data=document(3), now=NOW)
    save_itinerary(
        user_id=user.pk, itinerary_id=made.id, version=1, title="Lima", data=document(4), now=NOW
    )
    with pytest.raises(ConflictError):
        save_itinerary(
            user_id=user.pk, itinerary_id=made.id, version=1, title="", data=document(4), now=NOW
        )
    events = FeatureUsageEvent.objects.values_list("feature", "quantity")
    assert list(events) == [("trip_planner_destinations", 1)] * 2


def test_who_saves_what_somebody_else_has_saved_meanwhile_is_told_so() -> None:
    user = make_user("PRO")
    made = create_itinerary(user_id=user.pk, title="Lima", data=document(1))
    save: dict[str, Any] = {"user_id": user.pk, "itinerary_id": made.id, "version": made.version}
    saved = save_itinerary(**save, title="Cusco", description="By train", data=document(2))
    assert (saved.title, saved.description, saved.version, saved.destinations) == (
        "Cusco",
        "By train",
        2,
        2,
    )
    with pytest.raises(ConflictError, match="has version 2 by now, not 1"):
        save_itinerary(**save, title="Puno", data=document(1))
    assert TravelItinerary.objects.get(pk=made.id).title == "Cusco"


def test_an_itinerary_is_deleted_and_restored() -> None:
    user = make_user("PRO")
    made = create_itinerary(user_id=user.pk, title="Lima", data=document(1))
    key: dict[str, Any] = {"user_id": user.pk, "itinerary_id": made.id}
    delete_itinerary(**key, now=NOW)
    stored = TravelItinerary.objects.get(pk=made.id)
    assert (stored.is_deleted, stored.deleted_at) == (True, NOW)
    with pytest.raises(NotFoundError):
        delete_itinerary(**key, now=NOW)
    with pytest.raises(NotFoundError):
        save_itinerary(**key, version=1, title="Lima", data={})
    assert restore_itinerary(**key).title == "Lima"
    stored.refresh_from_db()
    assert (stored.is_deleted, stored.deleted_at) == (False, None)


def test_the_itinerary_of_somebody_else_is_not_there() -> None:
    made = create_itinerary(user_id=make_user("PRO").pk, title="Lima", data=document(1))
    stranger: dict[str, Any] = {"user_id": make_user("PRO").pk, "itinerary_id": made.id}
    with pytest.raises(NotFoundError):
        save_itinerary(**stranger, version=1, title="Mine", data=document(1))
    with pytest.raises(NotFoundError):
        delete_itinerary(**stranger)
    with pytest.raises(NotFoundError):
        restore_itinerary(**stranger)


# -------------------------------------------------------------------------- settings of the gates


def test_what_is_refused_is_logged_with_its_fields_and_without_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = make_user("FREE")
    make_threads(user, 5)
    with caplog.at_level("INFO"), pytest.raises(FeatureDeniedError):
        create_thread(user_id=user.pk, title="A secret", now=NOW)
    [line] = [line for line in caplog.records if line.getMessage() == "feature_denied"]
    told = vars(line)
    assert (told["user_id"], told["feature"], told["limit"], told["provided"], told["shadow"]) == (
        user.pk,
        "conversation_threads",
        5,
        6,
        False,
    )
    assert told["duration_ms"] > 0
    assert "A secret" not in str(told)


def test_in_shadow_mode_nobody_is_refused_and_the_log_tells_who_would_be(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SENTINEL_GATES_SHADOW = True
    user = make_user("FREE")
    [thread, *_] = make_threads(user, 5)
    with caplog.at_level("INFO"):
        create_thread(user_id=user.pk, title="The sixth", now=NOW)
        say(user, thread, Role.USER, Role.USER, Role.USER, Role.USER)
        archive_thread(user_id=user.pk, thread_id=thread.pk)
        create_itinerary(user_id=user.pk, title="Lima", data=document(1), now=NOW)
    denied = [line for line in caplog.records if line.getMessage() == "feature_denied"]
    assert all(vars(line)["shadow"] for line in denied)
    assert [vars(line)["feature"] for line in denied] == [
        "conversation_threads",
        "chat_messages_monthly",
        "messages_per_thread",
        "can_archive_threads",
        "trip_planner_destinations",
    ]
    assert used(user, "chat_messages_monthly") == 4


def refuse_events() -> None:
    """Have the ledger refuse every event, as a broken disk would."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the ledger is closed' USING ERRCODE = '58030'; END $$;
            CREATE TRIGGER a_refusal BEFORE INSERT ON feature_usage_events
                FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse()
            """
        )


def test_a_trip_is_saved_though_its_use_cannot_be_recorded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    user = make_user("PRO")
    refuse_events()
    made = create_itinerary(user_id=user.pk, title="Lima", data=document(2), now=NOW)
    assert made.destinations == 2
    [line] = [r for r in caplog.records if r.getMessage() == "Failed to track feature usage"]
    assert (vars(line)["feature"], vars(line)["reason"]) == (
        "trip_planner_destinations",
        "the ledger is closed",
    )
    with pytest.raises(FeatureDeniedError):
        create_itinerary(user_id=user.pk, title="Lima", data=document(6), now=NOW)


def test_a_message_whose_use_cannot_be_recorded_is_not_added() -> None:
    """Its limit is counted from the record: without it there would be none."""
    user = make_user("PRO")
    [thread] = make_threads(user, 1)
    refuse_events()
    with pytest.raises(DatabaseError, match="the ledger is closed"), transaction.atomic():
        say(user, thread, Role.USER)
    assert not thread.messages.exists()
