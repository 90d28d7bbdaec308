"""The same work through Django's ORM, and who has drifted after a usual day."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connection as django_connection
from django.db import transaction
from django.db.models import F

from tests.benchmarks.measuring import milliseconds
from tests.benchmarks.orm import models
from tests.benchmarks.orm.listening import listening
from tests.benchmarks.peers import (
    COMPUTED,
    COUNTER,
    F_EXPRESSION,
    LEGACY,
    PLAIN,
    ROW_TRIGGERS,
    SIGNALS,
    fill_threads,
    tidy,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.benchmarks.bench import Bench
    from tests.benchmarks.database import Connection
    from tests.benchmarks.measuring import Way
    from tests.benchmarks.peers import Peer

THREAD, OTHER = 1, 2
MESSAGE = {"role": "user", "content": "Then we leave at noon, and meet the others at the station."}


@dataclass(frozen=True, kw_only=True)
class Writer:
    """A peer's models, and what its application does beside writing the message."""

    peer: Peer
    thread: Any
    message: Any
    counts_itself: bool = False
    around: Any = nullcontext

    def create(self) -> None:
        """Add one message as a view would."""
        if not self.counts_itself:
            self.message.objects.create(thread_id=THREAD, **MESSAGE)
            return
        with transaction.atomic():
            self.message.objects.create(thread_id=THREAD, **MESSAGE)
            self._add(THREAD, 1)

    def create_many(self, number: int) -> None:
        """Add many messages in one statement."""
        self.message.objects.bulk_create(
            [self.message(thread_id=THREAD, **MESSAGE) for _ in range(number)]
        )
        if self.counts_itself:
            self._add(THREAD, number)

    def live_a_day(self) -> None:
        """What happens to messages besides: moves, deletes, and statements written by hand.

        Who counts in the application remembers it in its own views, the move as well; the statement
        by hand is an operator's, who knows of no counter.
        """
        moved = self.message.objects.filter(thread_id=THREAD)[:3].values("pk")
        self.message.objects.filter(pk__in=list(moved.values_list("pk", flat=True))).update(
            thread_id=OTHER
        )
        if self.counts_itself:
            self._add(THREAD, -3)
            self._add(OTHER, 3)
        self.message.objects.filter(thread_id=OTHER)[:1].get().delete()
        if self.counts_itself:
            self._add(OTHER, -1)
        table = self.message._meta.db_table
        with django_connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table} WHERE thread_id = 1)"
            )

    def listening(self) -> AbstractContextManager[None]:
        """Return what has to be in force while this peer writes."""
        return self.around()

    def _add(self, thread: int, number: int) -> None:
        self.thread.objects.filter(pk=thread).update(
            thread_messages_count=F("thread_messages_count") + number
        )


def writers() -> list[Writer]:
    """Return the peers that can run here."""
    found = [
        Writer(peer=PLAIN, thread=models.PlainThread, message=models.PlainMessage),
        Writer(peer=COUNTER, thread=models.CountedThread, message=models.CountedMessage),
        Writer(
            peer=F_EXPRESSION, thread=models.FThread, message=models.FMessage, counts_itself=True
        ),
        Writer(peer=SIGNALS, thread=models.SignalThread, message=models.SignalMessage),
    ]
    if apps.is_installed("computedfields"):
        from tests.benchmarks.orm import computed

        found.append(
            Writer(
                peer=COMPUTED,
                thread=computed.ComputedThread,
                message=computed.ComputedMessage,
                around=listening,
            )
        )
    return found


def measure(bench: Bench) -> None:
    """Create messages through the ORM, then let a day pass and see who is right."""
    if not apps.is_installed("computedfields"):
        bench.skipped.append("django-computedfields is not installed: pip install '.[bench]'")
    known = writers()
    peers = [writer.peer for writer in known]
    with bench.database.connect() as connection:
        bench.create(connection, *peers, ROW_TRIGGERS, LEGACY)
        for peer in (*peers, ROW_TRIGGERS, LEGACY):
            fill_threads(connection, peer, threads=2, messages=100)
        uses = bench.sizes.uses
        bench.compare("ORM, create", {w.peer.name: _creating(connection, w, uses) for w in known})
        bench.compare(
            "ORM, bulk_create",
            {w.peer.name: _creating_many(connection, w, bench.sizes.few_rows) for w in known},
        )
        for writer in known:
            with writer.listening():
                writer.live_a_day()
        for peer in (ROW_TRIGGERS, LEGACY):
            _live_a_day_in_sql(bench.connection_to(peer))
        bench.check(connection, "a usual day", *peers, ROW_TRIGGERS, LEGACY)


def _creating(connection: Connection, writer: Writer, number: int) -> Way:
    def way() -> float:
        tidy(connection, writer.peer)
        with writer.listening():
            return milliseconds(writer.create, times=number)

    return way


def _creating_many(connection: Connection, writer: Writer, number: int) -> Way:
    def way() -> float:
        tidy(connection, writer.peer)
        with writer.listening():
            return milliseconds(lambda: writer.create_many(number))

    return way


def _live_a_day_in_sql(connection: Connection) -> None:
    """The same for the peers that live in the database."""
    table = "chat_messages"
    for statement in (
        f"INSERT INTO {table} (thread_id, role, content) VALUES ({THREAD}, 'user', 'Noon.')",
        f"UPDATE {table} SET thread_id = {OTHER} WHERE id IN"
        f" (SELECT id FROM {table} WHERE thread_id = {THREAD} LIMIT 3)",
        f"DELETE FROM {table} WHERE id = (SELECT max(id) FROM {table} WHERE thread_id = {OTHER})",
    ):
        connection.execute(statement)
