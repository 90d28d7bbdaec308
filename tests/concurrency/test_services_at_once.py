"""Fifty requests at once for the last free place of a plan."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import connection

from sentinel.accounts.factories import UserFactory
from sentinel.counters import audit_counters, declared_counters
from threads.factories import ChatMessageFactory, ChatThreadFactory
from threads.models import ChatMessage
from threads.records import NewMessage, Role
from threads.services import add_messages, create_thread, restore_thread
from usage import FeatureDeniedError, record, usage_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("alone", "committed")

AT_ONCE = 50


@pytest.fixture
def alone(django_db_setup: None) -> Iterator[None]:
    """Keep two workers from taking fifty connections each: a server has a hundred."""
    server = connection.get_connection_params() | {"dbname": "postgres"}
    with psycopg.connect(**server) as waiting:
        waiting.execute("SELECT pg_advisory_xact_lock(hashtext('fifty connections'))")
        yield


def count_admitted(attempt: Callable[[int], object]) -> int:
    """Attempt it on fifty connections, all from the same moment on, and return how many did it."""
    start = Barrier(AT_ONCE)

    def work(number: int) -> bool:
        try:
            connection.ensure_connection()
            start.wait()
            attempt(number)
        except FeatureDeniedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(work, range(AT_ONCE)))


def assert_exact() -> None:
    assert [
        report.counter for report in audit_counters(declared_counters()) if not report.exact
    ] == []


def test_one_of_fifty_gets_the_last_active_thread() -> None:
    user = UserFactory.create(plan_id="FREE")
    ChatThreadFactory.create_batch(4, user=user)
    assert count_admitted(lambda _: create_thread(user_id=user.pk, title="Lima")) == 1
    assert user.chat_threads.count() == 5


def test_one_of_fifty_archived_threads_is_restored_into_the_last_place() -> None:
    user = UserFactory.create(plan_id="PRO")
    ChatThreadFactory.create_batch(49, user=user)
    archived = ChatThreadFactory.create_batch(AT_ONCE, user=user, is_archived=True)
    assert (
        count_admitted(
            lambda number: restore_thread(user_id=user.pk, thread_id=archived[number].pk)
        )
        == 1
    )
    assert usage_for(user_id=user.pk)["conversation_threads"].used == 50


def test_new_and_restored_threads_share_the_last_place() -> None:
    user = UserFactory.create(plan_id="FREE")
    ChatThreadFactory.create_batch(4, user=user)
    archived = ChatThreadFactory.create_batch(AT_ONCE, user=user, is_archived=True)

    def attempt(number: int) -> object:
        if number % 2:
            return create_thread(user_id=user.pk, title="Lima")
        return restore_thread(user_id=user.pk, thread_id=archived[number].pk)

    assert count_admitted(attempt) == 1


def say(user_id: int, thread_id: int, role: Role = Role.USER) -> object:
    return add_messages(
        user_id=user_id,
        thread_id=thread_id,
        messages=[NewMessage(role=role, content="Is it safe?")],
    )


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT])
def test_one_of_fifty_messages_gets_the_last_place_of_a_thread(role: Role) -> None:
    user = UserFactory.create(plan_id="PRO")
    thread = ChatThreadFactory.create(user=user)
    ChatMessageFactory.create_batch(49, thread=thread)
    assert count_admitted(lambda _: say(user.pk, thread.pk, role)) == 1
    thread.refresh_from_db()
    assert thread.thread_messages_count == 50
    assert usage_for(user_id=user.pk)["chat_messages_monthly"].used == (role == Role.USER)
    assert_exact()


def test_one_of_fifty_messages_in_five_threads_is_the_last_of_a_lifetime() -> None:
    user = UserFactory.create(plan_id="FREE", lifetime_chat_messages=2)
    threads = ChatThreadFactory.create_batch(5, user=user)
    assert count_admitted(lambda number: say(user.pk, threads[number % 5].pk)) == 1
    user.refresh_from_db()
    assert user.lifetime_chat_messages == 3
    assert ChatMessage.objects.filter(thread__user=user).count() == 1
    assert_exact()


def test_one_of_fifty_messages_in_five_threads_is_the_last_of_a_month() -> None:
    user = UserFactory.create(plan_id="PRO")
    record(user_id=user.pk, feature="chat_messages_monthly", quantity=499)
    threads = ChatThreadFactory.create_batch(5, user=user)
    assert count_admitted(lambda number: say(user.pk, threads[number % 5].pk)) == 1
    assert ChatMessage.objects.filter(thread__user=user).count() == 1
    assert_exact()


def test_a_message_that_meets_a_writer_with_another_order_of_locks_is_added_all_the_same() -> None:
    """The existing application may lock a thread and then the user: together a deadlock."""
    user = UserFactory.create(plan_id="PRO")
    thread = ChatThreadFactory.create(user=user)
    with ThreadPoolExecutor(1) as pool, legacy_connection() as legacy:
        legacy.execute("SET deadlock_timeout = '30s'")  # it is ours that finds the deadlock
        with legacy.transaction():
            legacy.execute("UPDATE chat_threads SET title = 'Cusco' WHERE id = %s", [thread.pk])
            added = pool.submit(say_and_close, user.pk, thread.pk)
            wait_until_blocked(legacy)
            legacy.execute("UPDATE users SET name = 'Ella' WHERE id = %s", [user.pk])
        assert added.result(timeout=30)
    thread.refresh_from_db()
    assert (thread.title, thread.thread_messages_count) == ("Cusco", 1)
    assert usage_for(user_id=user.pk)["chat_messages_monthly"].used == 1
    assert_exact()


def legacy_connection() -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(**connection.get_connection_params(), autocommit=True)


def say_and_close(user_id: int, thread_id: int) -> object:
    try:
        return say(user_id, thread_id)
    finally:
        connection.close()


def wait_until_blocked(blocker: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Wait until somebody waits for this connection, whose own view of it stands still."""
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
                [blocker.info.backend_pid],
            )
            [(waiting,)] = cursor.fetchall()
        if waiting:
            return
        time.sleep(0.01)
    pytest.fail("Nobody has met the lock in ten seconds.")
