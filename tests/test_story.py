"""The story of one message, from its insert to the proof of its count. Read this first."""

from __future__ import annotations

import pytest
from django.db import connection

from itineraries.models import TravelItinerary
from sentinel.accounts.models import User
from sentinel.counters import audit_counter, find_counters
from threads.models import ChatMessage, ChatThread


@pytest.mark.django_db
def test_the_story_of_a_message() -> None:
    # Ada plans a trip and asks about it. Nobody writes a count.
    ada = User.objects.create_user(email="ada@example.org", password="a long password")
    thread = ChatThread.objects.create(user=ada, title="A week in Georgia")
    ChatMessage.objects.create(thread=thread, role="user", content="Is the road to Mestia open?")
    ChatMessage.objects.create(thread=thread, role="assistant", content="From May to October.")

    # The database has counted, in the transactions of the inserts. A limit check reads one row.
    thread.refresh_from_db()
    assert thread.thread_messages_count == 2

    # It counts whoever writes: here plain SQL, as the existing application does, with an increment
    # of its own that would be one too many.
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO chat_messages (thread_id, role, content) VALUES (%s, 'user', 'Thanks!');"
            "UPDATE chat_threads SET message_count = message_count + 1 WHERE id = %s",
            [thread.id, thread.id],
        )
    thread.refresh_from_db()
    assert (thread.thread_messages_count, thread.message_count) == (3, 3)

    # A counter that follows from the row itself is kept in the same way.
    trip = TravelItinerary.objects.create(user=ada, data={"waypoints": ["Tbilisi", "Mestia"]})
    trip.refresh_from_db()
    assert trip.destinations_count == 2

    # The audit proves it: each stored count beside the rows themselves, in one snapshot.
    [counter] = find_counters(["chat_threads.thread_messages_count"])
    assert audit_counter(counter).exact

    # Somebody switches the triggers off and writes. No trigger can see that; the audit does.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM chat_messages WHERE content = 'Thanks!'")
        cursor.execute("SET LOCAL session_replication_role = origin")
    report = audit_counter(counter)
    assert not report.exact
    [drift] = report.sample
    assert (drift.key, drift.stored, drift.actual) == (thread.id, 3, 2)

    # Any write to the counter makes it true again: the guard counts, and stores what it found.
    ChatThread.objects.filter(pk=drift.key).update(thread_messages_count=0)
    thread.refresh_from_db()
    assert (thread.thread_messages_count, thread.message_count) == (2, 2)
    assert audit_counter(counter).exact
