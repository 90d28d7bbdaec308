"""Makes conversations that look real, for the demo and for tests. No counter is ever written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

import factory
from django.utils import timezone
from factory.random import randgen

from sentinel.accounts.factories import UserFactory, moment_between
from sentinel.places import PLACES, Place
from threads.models import ChatMessage, ChatThread
from threads.sample_conversations import FAREWELLS, GREETING, SUBJECTS, THANKS, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PAUSE = 180  # seconds between two messages
# What a customer and the assistant can say before they repeat themselves.
LONGEST_CONVERSATION = 2 * sum(len(subject.exchanges) for subject in SUBJECTS)
ROOM_TO_TALK = timedelta(seconds=LONGEST_PAUSE * LONGEST_CONVERSATION)
LONG_ENOUGH_FOR_THANKS = 5  # messages

Role = ChatMessage.Role


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a conversation is about.

    Attributes:
        subject: what is asked.
        place: where the customer goes.
        other: another place nearby.
        day: when they will be there.
    """

    subject: Subject
    place: Place
    other: Place
    day: date

    def fill(self, text: str) -> str:
        """Return a sentence with its gaps filled in."""
        return text.format(
            place=self.place.name,
            country=self.place.country,
            other=self.other.name,
            date=f"{self.day.day} {self.day:%B}",
        )

    def lines(self, length: int) -> Iterator[tuple[Role, str]]:
        """Yield at most so many messages, customer and assistant in turn."""
        thanks = 2 if length >= LONG_ENOUGH_FOR_THANKS and length % 2 == 0 else 0
        for role, text in islice(self._questions_and_answers(), length - thanks):
            yield role, self.fill(text)
        if thanks:
            yield Role.USER, self.fill(randgen.choice(THANKS))
            yield Role.ASSISTANT, self.fill(randgen.choice(FAREWELLS))

    def opening(self) -> tuple[Role, str]:
        """Return what the application tells the assistant before the customer says a word."""
        return Role.SYSTEM, self.fill(GREETING)

    def _questions_and_answers(self) -> Iterator[tuple[Role, str]]:
        others = [subject for subject in SUBJECTS if subject is not self.subject]
        for subject in (self.subject, *randgen.sample(others, len(others))):
            for exchange in subject.exchanges:
                yield Role.USER, exchange.question
                yield Role.ASSISTANT, exchange.answer


def make_scene(now: datetime) -> Scene:
    """Return a subject and a journey of the next months, at random."""
    place = randgen.choice(PLACES)
    return Scene(
        subject=randgen.choice(SUBJECTS),
        place=place,
        other=place.nearest()[0],
        day=(now + timedelta(days=randgen.randint(3, 90))).date(),
    )


class ChatThreadFactory(factory.django.DjangoModelFactory[ChatThread]):
    """A thread without messages.

    Params:
        now: the moment from which the past is measured.
        scene: what it is about.
        archived, deleted: what became of it.
    """

    class Meta:
        model = ChatThread

    class Params:
        now = factory.LazyFunction(timezone.now)
        scene = factory.LazyAttribute(lambda thread: make_scene(thread.now))
        archived = factory.Trait(is_archived=True, archived_at=factory.SelfAttribute("now"))
        deleted = factory.Trait(is_deleted=True)

    user = factory.SubFactory(UserFactory, now=factory.SelfAttribute("..now"))
    thread_uuid = factory.LazyFunction(lambda: UUID(int=randgen.getrandbits(128), version=4))
    title = factory.LazyAttribute(
        lambda thread: thread.scene.fill(randgen.choice(thread.scene.subject.titles))
    )
    investigation_topic = factory.LazyAttribute(
        lambda thread: f"{thread.scene.subject.topic}, {thread.scene.place.name}"
    )
    created_at = factory.LazyAttribute(
        lambda thread: moment_between(thread.user.created_at, thread.now - ROOM_TO_TALK)
    )
    updated_at = factory.SelfAttribute("created_at")


class ChatMessageFactory(factory.django.DjangoModelFactory[ChatMessage]):
    """A message; by default a customer's first question.

    Params:
        scene: what it is about.
    """

    class Meta:
        model = ChatMessage

    class Params:
        scene = factory.LazyFunction(lambda: make_scene(timezone.now()))

    thread = factory.SubFactory(ChatThreadFactory, scene=factory.SelfAttribute("..scene"))
    role = Role.USER
    content = factory.LazyAttribute(
        lambda message: message.scene.fill(message.scene.subject.exchanges[0].question)
    )
    created_at = factory.SelfAttribute("thread.created_at")
    timestamp = factory.SelfAttribute("created_at")


def build_conversation(
    *, messages: int, now: datetime, briefed: bool = False, **thread: Any
) -> tuple[ChatThread, list[ChatMessage]]:
    """Return a thread and its messages, none of them saved.

    Args:
        messages: how many; LONGEST_CONVERSATION at most.
        now: everything was said before.
        briefed: whether it begins with a system message.
        thread: values for the thread, see `ChatThreadFactory`.

    Raises:
        ValueError: more messages are asked for than there are sentences.
    """
    if messages > LONGEST_CONVERSATION:
        raise ValueError(
            f"{messages} messages: a conversation has {LONGEST_CONVERSATION} at most. "
            "Write more sentences in threads/sample_conversations.py."
        )
    scene = thread.setdefault("scene", make_scene(now))
    built = ChatThreadFactory.build(now=now, **thread)
    opening = [scene.opening()] if briefed and messages else []
    begun: datetime = built.created_at  # type: ignore[assignment]  # the factory gives one
    moment = begun
    said = []
    for role, content in (*opening, *scene.lines(messages - len(opening))):
        built.updated_at = moment
        said.append(
            ChatMessageFactory.build(
                thread=built, scene=scene, role=role, content=content, created_at=moment
            )
        )
        moment += timedelta(seconds=randgen.randint(5, LONGEST_PAUSE))
    if built.is_archived is True:
        built.archived_at = moment_between(moment, now)
    return built, said
