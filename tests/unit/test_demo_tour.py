"""The tour of the demo: a check that fails where the database does not keep what it promises."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from django.core.management.base import OutputWrapper
from django.db import connection

from sentinel.counters import audit_counters, declared_counters
from sentinel.demo.narration import Narrator
from sentinel.demo.seeding import seed_demo
from sentinel.demo.tour import Tour, TourError, take_tour
from threads.models import ChatMessage, ChatThread

if TYPE_CHECKING:
    from collections.abc import Callable


def run_sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def all_exact() -> bool:
    return all(report.exact for report in audit_counters(declared_counters()))


def read_counts() -> dict[int, int]:
    return dict(ChatThread.objects.values_list("id", "thread_messages_count"))


def take_tour_and_listen() -> str:
    heard = io.StringIO()
    take_tour(Narrator(OutputWrapper(heard)))
    return heard.getvalue()


@pytest.fixture
def conversations(db: None) -> None:
    seed_demo(threads=20, now=datetime(2026, 3, 14, 15, 9, tzinfo=UTC))


def test_the_tour_shows_the_drift_being_found_and_leaves_none(conversations: None) -> None:
    messages, counts = ChatMessage.objects.count(), read_counts()
    told = take_tour_and_listen()
    steps = ["exit code 1", "SET thread_messages_count = 0", "exit code 0", "delete()"]
    assert [step for step in steps if step in told] == steps
    assert [told.index(step) for step in steps] == sorted(told.index(step) for step in steps)
    assert "NOT EXACT" in told
    assert all_exact()
    assert (ChatMessage.objects.count(), read_counts()) == (messages, counts)


def test_the_tour_can_be_taken_again(conversations: None) -> None:
    take_tour_and_listen()
    assert "exit code 1" in take_tour_and_listen()


@pytest.mark.django_db
def test_without_data_the_tour_says_what_to_do() -> None:
    with pytest.raises(TourError, match=r"manage\.py demo"):
        take_tour_and_listen()


def test_the_tour_does_not_begin_on_counters_that_are_wrong(conversations: None) -> None:
    run_sql(
        "SET LOCAL session_replication_role = replica",
        "UPDATE chat_threads SET thread_messages_count = 99",
        "SET LOCAL session_replication_role = origin",
    )
    with pytest.raises(TourError, match="audit_counters"):
        take_tour_and_listen()
    # What the message advises is a cure.
    run_sql("UPDATE chat_threads SET thread_messages_count = -1")
    take_tour_and_listen()


def after(monkeypatch: pytest.MonkeyPatch, step: str, *, do: Callable[[], None]) -> None:
    """Have something happen at the end of a step of the tour."""
    original = getattr(Tour, step)

    def step_and_more(tour: Tour, *arguments: Any, **options: Any) -> Any:
        result = original(tour, *arguments, **options)
        do()
        return result

    monkeypatch.setattr(Tour, step, step_and_more)


def test_the_tour_fails_where_the_database_does_not_count(
    conversations: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(
        monkeypatch,
        "start",
        do=lambda: run_sql("ALTER TABLE chat_messages DISABLE TRIGGER USER"),
    )
    with pytest.raises(TourError, match="should be"):
        take_tour_and_listen()


def test_the_tour_fails_where_the_audit_finds_nothing(
    conversations: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(
        monkeypatch,
        "make_drift",
        do=lambda: run_sql("UPDATE chat_threads SET thread_messages_count = -1"),
    )
    with pytest.raises(TourError, match="exit code 1, not 0"):
        take_tour_and_listen()


def test_the_tour_fails_where_the_audit_finds_something_else(
    conversations: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(
        monkeypatch,
        "make_drift",
        do=lambda: run_sql(
            "SET LOCAL session_replication_role = replica",
            "UPDATE chat_threads SET message_count = 99",
            "SET LOCAL session_replication_role = origin",
        ),
    )
    with pytest.raises(TourError, match="key, stored, actual"):
        take_tour_and_listen()


@pytest.mark.parametrize("step", ["add_messages", "count_twice", "make_drift", "undo_drift"])
def test_a_tour_that_is_cut_short_leaves_nothing_behind(
    conversations: None, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    messages = ChatMessage.objects.count()
    after(monkeypatch, step, do=interrupt)
    with pytest.raises(KeyboardInterrupt):
        take_tour_and_listen()
    assert all_exact()
    assert ChatMessage.objects.count() == messages


def test_a_role_that_cannot_make_a_drift_is_told_so(conversations: None) -> None:
    role = f"visitor_{uuid4().hex}"
    run_sql(
        f"CREATE ROLE {role} IN ROLE pg_read_all_data, pg_write_all_data", f"SET LOCAL ROLE {role}"
    )
    told = take_tour_and_listen()
    assert "SKIPPED" in told
    assert "exit code 0" in told
    assert "exit code 1" not in told
    run_sql("RESET ROLE")
    assert all_exact()
