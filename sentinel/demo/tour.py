"""A tour of what the counters promise, on a conversation of the demo data.

It shows what it runs, and checks what comes of it: a tour that ends is a proof in small. The
messages that it adds are gone when it is over, whatever happens on the way.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from psycopg.errors import InsufficientPrivilege

from sentinel.counters import audit_counter, find_counters
from sentinel.demo.seeding import demo_users
from threads.models import ChatMessage, ChatThread

if TYPE_CHECKING:
    from sentinel.demo.narration import Narrator

COUNTER = "chat_threads.thread_messages_count"

INSERT_TWO = """\
INSERT INTO chat_messages (thread_id, role, content)
VALUES (%(thread)s, 'user', 'Is the airport road open again?'),
       (%(thread)s, 'assistant', 'Since six this morning, in both directions.')
RETURNING id"""
INSERT_ONE = """\
INSERT INTO chat_messages (thread_id, role, content)
VALUES (%(thread)s, 'user', 'Then we leave at noon.')
RETURNING id"""
COUNT_AGAIN = "UPDATE chat_threads SET message_count = message_count + 1 WHERE id = %(thread)s"
TRIGGERS_OFF = "SET LOCAL session_replication_role = replica"
TRIGGERS_ON = "SET LOCAL session_replication_role = origin"
DELETE_UNSEEN = "DELETE FROM chat_messages WHERE id = %(message)s"
WRITE_COUNTER = "UPDATE chat_threads SET thread_messages_count = 0 WHERE id = %(thread)s"
NEVER_A_COUNT = -1  # so that writing it always makes the guard count again


class TourError(Exception):
    """A step of the tour did not come out as it should."""


class Stored(NamedTuple):
    """What is stored of a thread: the counter, and its mirror of former times."""

    counter: int
    mirror: int | None


def choose_thread() -> ChatThread | None:
    """Return the newest conversation of the demo data, one in use and not empty if there is."""
    empty = ExpressionWrapper(Q(thread_messages_count=0), output_field=BooleanField())
    threads = ChatThread.objects.filter(user__in=demo_users())
    return threads.order_by("is_deleted", "is_archived", empty, "-id").first()


def take_tour(narrator: Narrator) -> None:
    """Walk through every step.

    Raises:
        TourError: there is no conversation, or a step did not come out as it should; the message
            says what to do.
    """
    thread = choose_thread()
    if thread is None:
        raise TourError(
            "There is no conversation to show. `manage.py demo` makes some before the tour; "
            "with --threads 0 it makes none."
        )
    tour = Tour(thread, narrator)
    try:
        tour.take()
    except BaseException:  # Ctrl-C included
        tour.restore()
        raise


class Tour:
    """One tour, step by step.

    Args:
        thread: the conversation that it is shown on.
        narrator: tells the story.
    """

    def __init__(self, thread: ChatThread, narrator: Narrator) -> None:
        self._thread = thread
        self._narrator = narrator
        self._added: list[int] = []

    def take(self) -> None:
        """Take every step.

        Raises:
            TourError: see `take_tour`.
        """
        before = self.start()
        self.add_messages()
        self.count_twice()
        if self.make_drift():
            self.audit(expected=1)
            self.expect_drift()
            self.undo_drift()
        self.audit(expected=0)
        self.leave(before)

    def start(self) -> Stored:
        """Begin on a database whose counters are exact, and return what is stored."""
        [counter] = find_counters([COUNTER])
        if not audit_counter(counter).exact:
            raise TourError(
                f"{COUNTER} is not exact, and the tour has not even begun: "
                "`manage.py audit_counters` shows where. Any write to the counter of a thread "
                f"makes it count again; it may be a wrong one, such as {NEVER_A_COUNT}."
            )
        stored = self.read()
        self._narrator.say(
            f"Thread {self._thread.pk}, “{self._thread.title}”, has {stored.counter} messages."
        )
        return stored

    def add_messages(self) -> None:
        """Insert messages; nobody writes a count."""
        self._narrator.step("Two messages are inserted. Nobody writes a count.")
        before = self.read()
        self.insert(INSERT_TWO)
        self.expect_counter(before.counter + 2, "The database has counted them by itself")

    def count_twice(self) -> None:
        """Insert and count as the existing application does it."""
        self._narrator.step("The existing application inserts one, and counts it as well.")
        before = self.read()
        with transaction.atomic():
            self.insert(INSERT_ONE)
            self.run(COUNT_AGAIN)
        self.expect_counter(before.counter + 1, "One more, not two: its own count is ignored")

    def make_drift(self) -> bool:
        """Write past the triggers; return whether this role may do so."""
        self._narrator.step("Somebody switches the triggers off, and deletes a message.")
        before = self.read()
        try:
            with transaction.atomic():
                self.run(TRIGGERS_OFF)
                self.run(DELETE_UNSEEN, message=self._added[-1])
                self.run(TRIGGERS_ON)
            self._added.pop()
        except DatabaseError as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
            self._narrator.say(
                "SKIPPED: this database role may not switch triggers off, so it cannot make a "
                "drift either."
            )
            return False
        self.expect_counter(before.counter, "One too many: no trigger has seen it")
        return True

    def audit(self, *, expected: int) -> None:
        """Run the audit as a user would, and look at its exit code."""
        self._narrator.step("The audit compares every stored count with the rows.")
        self._narrator.show("manage.py audit_counters\n")
        printed = StringIO()  # no terminal, so that a narrow one cuts nothing off
        try:
            call_command("audit_counters", stdout=printed)
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        self._narrator.out.write(printed.getvalue())
        if code != expected:
            raise TourError(f"The audit should have ended with exit code {expected}, not {code}.")
        meaning = "every counter is exact" if code == 0 else "it has found the drift"
        self._narrator.result(f"exit code {code}: {meaning}.")

    def expect_drift(self) -> None:
        """Check that the audit has named this conversation, and no other."""
        stored = self.read()
        [counter] = find_counters([COUNTER])
        found = [(drift.key, drift.stored, drift.actual) for drift in audit_counter(counter).sample]
        made = (self._thread.pk, stored.counter, stored.counter - 1)
        if found != [made]:
            raise TourError(f"The audit should have found {[made]} (key, stored, actual): {found}.")

    def undo_drift(self) -> None:
        """Write to the counter; the guard puts the truth there."""
        self._narrator.step(
            "The drift is undone: any write to a counter, a wrong one too, makes it count again."
        )
        before = self.read()
        self.run(WRITE_COUNTER)
        self.expect_counter(before.counter - 1, "Not 0, but as many as there are rows")

    def leave(self, before: Stored) -> None:
        """Take the tour's messages away."""
        self._narrator.step("The messages of this tour are deleted.")
        self._narrator.show(f"ChatMessage.objects.filter(pk__in={self._added}).delete()")
        ChatMessage.objects.filter(pk__in=self._added).delete()
        self.expect_counter(before.counter, "Deletes are counted as well: it is as before")

    def restore(self) -> None:
        """Leave the conversation as it was, from wherever the tour has come to."""
        with transaction.atomic():
            ChatMessage.objects.filter(pk__in=self._added).delete()
            ChatThread.objects.filter(pk=self._thread.pk).update(
                thread_messages_count=NEVER_A_COUNT
            )

    def run(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Show a statement as the database gets it, run it, and return its rows, if it has any."""
        parameters = {"thread": self._thread.pk} | values
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            text = connection.ops.last_executed_query(cursor, statement, parameters)
            self._narrator.show(f"{text};")
            return cursor.fetchall() if cursor.description else []

    def insert(self, statement: str) -> None:
        """Run a statement that adds messages, and remember them before they are committed."""
        with transaction.atomic():
            self._added += [key for (key,) in self.run(statement)]

    def read(self) -> Stored:
        """Return what is stored."""
        return Stored(
            *ChatThread.objects.values_list("thread_messages_count", "message_count").get(
                pk=self._thread.pk
            )
        )

    def expect_counter(self, count: int, text: str) -> None:
        """Check that counter and mirror are what they should be, and say so."""
        stored = self.read()
        if stored != Stored(count, count):
            raise TourError(
                f"{COUNTER} and its mirror should be {count} now. Stored: {stored.counter} and "
                f"{stored.mirror}. Does anybody else write to thread {self._thread.pk}?"
            )
        self._narrator.result(f"{count} messages. {text}.")
