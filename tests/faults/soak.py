"""Writers of every kind at once, and whoever audits, repairs and makes drift beside them."""

from __future__ import annotations

import json
import random
import time
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from django.db import connection
from django.utils import timezone
from psycopg.errors import DeadlockDetected, InternalError_

from sentinel.counters import Selection, audit_counters, find_counters, repair_counters
from tests.concurrency.writers import connect
from tests.faults.subject import WRITES, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTERS = (
    "chat_threads.thread_messages_count",
    "feature_usage.usage_count",
    "travel_itineraries.destinations_count",
)
ENOUGH = 10_000  # rows of a sample: more than the subjects have


class Rows(NamedTuple):
    """What is to be there of a subject: messages of its thread, uses of its user."""

    subject: int
    what: str


Session = psycopg.Connection[Any]


@dataclass
class Run:
    """What everybody shares.

    Attributes:
        subjects: who is written to.
        drifting: those whose counters somebody makes wrong; no others may ever be.
        seed: of all that is random.
        deadline: when to stop, in the time of `time.monotonic`.
        alarms: rows that an audit found wrong although nobody had made them so.
    """

    subjects: list[Subject]
    drifting: list[Subject]
    seed: int
    deadline: float
    alarms: list[Any] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return time.monotonic() > self.deadline or bool(self.alarms)


@dataclass
class Writer:
    """One connection. Counts what was committed, operation by operation and row by row."""

    run: Run
    name: str
    done: Tally[str] = field(default_factory=Tally)
    rows: Tally[Rows] = field(default_factory=Tally)

    def work(self) -> Writer:
        """Do each operation once, and go on until the time is over."""
        self.chance = random.Random(self.name)
        with connect() as session:
            todo = list(OPERATIONS)
            while todo or not self.run.over:
                number = self.chance.randint(1, 3)
                self.commit(
                    session,
                    [
                        todo.pop() if todo else self.chance.choice(list(OPERATIONS))
                        for _ in range(number)
                    ],
                )
        return self

    def commit(self, session: Session, names: list[str]) -> None:
        """One transaction; again after a deadlock, as any application must."""
        for _ in range(100):
            changed: Tally[Rows] = Tally()
            try:
                with session.transaction():
                    for name in names:
                        place = self.chance.randrange(len(self.run.subjects))
                        OPERATIONS[name](self, session, place, changed)
            except DeadlockDetected:
                self.done["deadlock"] += 1
                continue
            except InternalError_ as error:  # see docs/reliability.md
                if "more than one updating member" not in str(error):
                    raise
                self.done["refused by the server"] += 1
                continue
            self.done.update(names)
            for rows, number in changed.items():
                self.rows[rows] += number
            return
        raise AssertionError(f"a hundred deadlocks in a row: {names}")


# -------------------------------------------------------------------------------- operations

Operation = Callable[[Writer, Session, int, Tally[Rows]], None]


def write_of(kind: str) -> Operation:
    """An operation that is one write of `WRITES`."""

    def write(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
        writer.run.subjects[place].write(session, kind)
        changed[Rows(place, "messages" if kind == "a message" else "uses")] += 1

    return write


def write_many_messages(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    places = sorted({place, writer.chance.randrange(len(writer.run.subjects))})
    session.execute(
        "INSERT INTO chat_messages (thread_id, role, content)"
        " SELECT thread, 'user', '?' FROM unnest(%s::integer[]) AS thread, generate_series(1, 5)",
        [[writer.run.subjects[each].thread for each in places]],
    )
    changed.update({Rows(each, "messages"): 5 for each in places})


def delete_messages(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    gone = session.execute(
        "DELETE FROM chat_messages WHERE id IN (SELECT id FROM chat_messages WHERE thread_id = %s"
        " LIMIT 3 FOR UPDATE SKIP LOCKED)",
        [writer.run.subjects[place].thread],
    ).rowcount
    changed[Rows(place, "messages")] -= gone


def move_messages(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    to = writer.chance.randrange(len(writer.run.subjects))
    moved = session.execute(
        "UPDATE chat_messages SET thread_id = %s WHERE id IN (SELECT id FROM chat_messages"
        " WHERE thread_id = %s LIMIT 3 FOR UPDATE SKIP LOCKED)",
        [writer.run.subjects[to].thread, writer.run.subjects[place].thread],
    ).rowcount
    changed[Rows(place, "messages")] -= moved
    changed[Rows(to, "messages")] += moved


def write_itinerary(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    document = json.dumps({"waypoints": list(range(writer.chance.randint(0, 5)))})
    user = writer.run.subjects[place].user
    if writer.chance.random() < 0.2:
        session.execute(
            "INSERT INTO travel_itineraries (user_id, title, data) VALUES (%s, 'Caucasus', %s)",
            [user, document],
        )
        return
    session.execute(
        "UPDATE travel_itineraries SET data = %s WHERE id = (SELECT id FROM travel_itineraries"
        " WHERE user_id = %s LIMIT 1 FOR UPDATE SKIP LOCKED)",
        [document, user],
    )


def increment(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    session.execute(
        "SELECT increment_feature_usage_safe(%(user)s, %(feature)s, 2)",
        writer.run.subjects[place].values,
    )
    changed[Rows(place, "uses")] += 2


def give_back(writer: Writer, session: Session, place: int, changed: Tally[Rows]) -> None:
    """Count three and give them back, in one transaction."""
    session.execute(
        "SELECT refund_feature_usage(event_id, 'a test') FROM"
        " admit_feature_usage(%(user)s, %(feature)s, 3, NULL)",
        writer.run.subjects[place].values,
    )


OPERATIONS: dict[str, Operation] = {
    **{kind: write_of(kind) for kind in WRITES},
    "many messages": write_many_messages,
    "messages deleted": delete_messages,
    "messages moved": move_messages,
    "an itinerary": write_itinerary,
    "an increment": increment,
    "a refund": give_back,
}


# ------------------------------------------------------------------------------- beside the writers


def make_drift(run: Run) -> int:
    """Make one counter after the other wrong, as a session without triggers can."""
    chance = random.Random(run.seed)
    made = 0
    with connect() as session:
        session.execute("SET session_replication_role = replica")
        while not run.over:
            subject = chance.choice(run.drifting)
            for statement in (
                "UPDATE chat_threads SET thread_messages_count = 99 WHERE id = %(thread)s",
                "UPDATE feature_usage SET usage_count = usage_count + 9 WHERE user_id = %(user)s",
                "UPDATE travel_itineraries SET destinations_count = 9 WHERE user_id = %(user)s",
            ):
                try:
                    made += session.execute(statement, subject.values).rowcount
                except DeadlockDetected:
                    continue
            time.sleep(0.01)  # leaves the processor to the others
    return made


def audit_on_and_on(run: Run) -> int:
    """Audit until the time is over; keep what no one had made wrong."""
    expected = expected_drift(run.drifting)
    audits = 0
    try:
        while not run.over:
            for report in audit_counters(find_counters(COUNTERS), sample=ENOUGH):
                found = {(report.counter, owner) for owner in owners(report.counter, report.sample)}
                run.alarms += sorted(found - expected)
                audits += 1
    finally:
        connection.close()
    return audits


def owners(counter: str, drifts: Iterable[Any]) -> list[Any]:
    """Whose rows these are: threads by their keys, months and itineraries by their users."""
    keys = [drift.key for drift in drifts]
    if counter == "feature_usage.usage_count":
        return [key[0] for key in keys]
    if counter == "travel_itineraries.destinations_count" and keys:
        with connection.cursor() as cursor:
            cursor.execute("SELECT user_id FROM travel_itineraries WHERE id = ANY (%s)", [keys])
            return [user for (user,) in cursor.fetchall()]
    return keys


def expected_drift(subjects: list[Subject]) -> set[tuple[str, int]]:
    threads, usage, itineraries = COUNTERS
    return {
        pair
        for subject in subjects
        for pair in (
            (threads, subject.thread),
            (usage, subject.user),
            (itineraries, subject.user),
        )
    }


def repair_once() -> int:
    selections = [Selection(counter=counter) for counter in find_counters(COUNTERS)]
    return repair_counters(selections, now=timezone.now(), batch_size=10).rows_repaired


def repair_on_and_on(run: Run) -> int:
    repaired = 0
    try:
        while not run.over:
            repaired += repair_once()
    finally:
        connection.close()
    return repaired
