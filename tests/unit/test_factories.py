"""What the factories make: it looks real, it can be saved, and the database does the counting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from factory.random import randgen
from werkzeug.security import check_password_hash

from itineraries.factories import MALFORMED, MOST_DESTINATIONS, TravelItineraryFactory
from sentinel.accounts.factories import UserFactory, UserUsageFactory, seeded_random
from sentinel.accounts.models import User
from sentinel.counters import declared_counters
from sentinel.places import PLACES
from threads.factories import (
    LONGEST_CONVERSATION,
    ChatMessageFactory,
    ChatThreadFactory,
    Scene,
    build_conversation,
)
from threads.models import ChatThread
from threads.sample_conversations import SUBJECTS, Subject

if TYPE_CHECKING:
    from factory.django import DjangoModelFactory

NOW = datetime(2026, 3, 14, 15, 9, tzinfo=UTC)
FACTORIES = [
    UserFactory,
    UserUsageFactory,
    ChatThreadFactory,
    ChatMessageFactory,
    TravelItineraryFactory,
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_no_factory_writes_a_counter(factory: type[DjangoModelFactory[Any]]) -> None:
    counters = {"chat_messages_used"}
    for counter in declared_counters():
        counters |= {counter.field, *counter.mirrors}
    assert not counters & set(factory._meta.declarations)


@pytest.mark.django_db
@pytest.mark.parametrize("factory", FACTORIES)
def test_what_a_factory_makes_is_valid_as_it_is(factory: type[DjangoModelFactory[Any]]) -> None:
    made = factory.create()
    made.refresh_from_db()
    made.full_clean()


@pytest.mark.django_db
def test_nobody_can_log_in_as_a_made_up_user_unless_a_password_is_asked_for() -> None:
    assert not UserFactory.create().has_usable_password()
    ada = UserFactory.create(raw_password="correct horse")
    assert check_password_hash(User.objects.get(pk=ada.pk).password, "correct horse")


@pytest.mark.parametrize("name", ["Ada Lovelace", "Ada", "Ada King-Noel", "Åsa", "李", "", None])
def test_an_email_comes_of_any_name(name: str | None) -> None:
    first, second = UserFactory.build(name=name), UserFactory.build(name=name)
    first.clean_fields(exclude=["plan", "password", "name"])
    assert first.email != second.email


def test_one_seed_makes_the_same_each_time_and_disturbs_nobody() -> None:
    state = randgen.getstate()
    made = []
    for _ in range(2):
        with seeded_random(7):
            user = UserFactory.build(now=NOW, __sequence=1)
            thread, messages = build_conversation(messages=9, now=NOW, user=user)
            trip = TravelItineraryFactory.build(now=NOW, user=user)
            made.append(
                (
                    (user.email, user.name, user.plan_id, user.employer, user.created_at),
                    (thread.thread_uuid, thread.title, thread.created_at),
                    [(message.role, message.content, message.created_at) for message in messages],
                    (trip.itinerary_uuid, trip.title, trip.data, trip.created_at),
                )
            )
    assert made[0] == made[1]
    assert randgen.getstate() == state


# -------------------------------------------------------------------------------- conversations


@pytest.mark.django_db
def test_a_message_brings_its_thread_and_is_counted() -> None:
    message = ChatMessageFactory.create()
    assert ChatThread.objects.get(pk=message.thread_id).thread_messages_count == 1


@pytest.mark.parametrize("briefed", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 20, LONGEST_CONVERSATION])
def test_a_conversation_is_as_long_as_is_asked_for(
    length: int,
    briefed: bool,  # noqa: FBT001 (pytest passes it by name)
) -> None:
    thread, messages = build_conversation(messages=length, now=NOW, briefed=briefed)
    assert len(messages) == length
    roles = [str(message.role) for message in messages]
    if briefed and roles:
        assert roles.pop(0) == "system"
    assert roles[::2] == ["user"] * len(roles[::2])
    assert roles[1::2] == ["assistant"] * len(roles[1::2])
    times = [thread.user.created_at, thread.created_at, *(said.created_at for said in messages)]
    assert times == sorted(times)
    assert times[-1] <= NOW
    assert len({said.content for said in messages}) == len(messages), "somebody repeats themselves"


def test_a_conversation_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="sample_conversations"):
        build_conversation(messages=LONGEST_CONVERSATION + 1, now=NOW)


def test_a_thread_is_archived_after_its_last_message() -> None:
    thread, messages = build_conversation(messages=4, now=NOW, archived=True)
    assert thread.archived_at
    assert messages[-1].created_at
    assert messages[-1].created_at <= thread.archived_at <= NOW


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.topic)
def test_every_sentence_can_be_filled_in(subject: Subject) -> None:
    for place in PLACES:
        scene = Scene(subject=subject, place=place, other=place.nearest()[0], day=NOW.date())
        sentences = [scene.fill(title) for title in subject.titles]
        sentences += [content for _, content in scene.lines(LONGEST_CONVERSATION)]
        assert all(sentences)
        assert not any("{" in sentence or "}" in sentence for sentence in sentences)


# ---------------------------------------------------------------------------------------- trips


@pytest.mark.django_db
@pytest.mark.parametrize("destinations", range(MOST_DESTINATIONS + 1))
def test_a_trip_has_as_many_destinations_as_are_asked_for(destinations: int) -> None:
    trip = TravelItineraryFactory.create(destinations=destinations)
    trip.refresh_from_db()
    assert trip.destinations_count == destinations == len(trip.data["waypoints"])
    assert len(trip.data["routes"]) == max(0, destinations - 1)
    names = {place.name for place in PLACES}
    assert {waypoint["name"] for waypoint in trip.data["waypoints"]} <= names


@pytest.mark.django_db
@pytest.mark.parametrize("document", MALFORMED, ids=str)
def test_a_malformed_document_has_no_destinations(document: object) -> None:
    trip = TravelItineraryFactory.create(data=document)
    trip.refresh_from_db()
    assert (trip.data, trip.destinations_count) == (document, 0)


def test_malformed_documents_are_not_shared() -> None:
    trips = TravelItineraryFactory.build_batch(50, malformed=True)
    assert all(any(trip.data == document for document in MALFORMED) for trip in trips)
    shared = {id(document) for document in MALFORMED if not isinstance(document, str)}
    assert not shared & {id(trip.data) for trip in trips}


def test_a_trip_that_is_thrown_away_has_its_time() -> None:
    trip = TravelItineraryFactory.build(deleted=True, now=NOW)
    assert trip.deleted_at
    assert trip.created_at <= trip.deleted_at <= NOW
