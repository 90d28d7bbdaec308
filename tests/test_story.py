"""The story of one message, and of one use, each to the proof of its count. Read this first."""

from __future__ import annotations

import pytest
from django.db import connection

from itineraries.models import TravelItinerary
from sentinel.accounts.models import User
from sentinel.counters import audit_counter, find_counters
from threads.models import ChatMessage, ChatThread
from usage import consume, refund, usage_for


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


@pytest.mark.django_db
def test_the_story_of_a_use() -> None:
    # Ada is on PRO, which has ten exports to PDF a month.
    ada = User.objects.create_user(email="ada@example.org", plan_id="PRO")

    # One call compares with the limit and counts, under the lock of one row.
    first = consume(user_id=ada.pk, feature="pdf_exports_monthly", key="export 1")
    assert (first.admitted, first.used_after, first.limit) == (True, 1, 10)

    # The same request, sent again, is the same use.
    assert consume(user_id=ada.pk, feature="pdf_exports_monthly", key="export 1").duplicate

    # The existing application counts eight more in its own way. They become an event as well.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE feature_usage SET usage_count = usage_count + 8")
    assert usage_for(user_id=ada.pk)["pdf_exports_monthly"].used == 9

    # The tenth is the last. What is refused counts nothing; what failed is given back.
    tenth = consume(user_id=ada.pk, feature="pdf_exports_monthly")
    refused = consume(user_id=ada.pk, feature="pdf_exports_monthly")
    assert (tenth.admitted, refused.admitted) == (True, False)
    assert refused.required_plan == "BUSINESS"
    assert tenth.event_id is not None
    assert refund(event_id=tenth.event_id, reason="The export failed.")
    assert usage_for(user_id=ada.pk)["pdf_exports_monthly"].remaining == 1

    # The audit proves the month by the events of the ledger.
    [counter] = find_counters(["feature_usage.usage_count"])
    assert audit_counter(counter).exact
