"""The existing application's writers, as its description has them: double counting included."""

from __future__ import annotations

import json
import random
import time
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    import threading

    from tests.scratch import ScratchDatabase

Session = psycopg.Connection[Any]

GRANTS = """
    CREATE ROLE {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, user_usage, chat_threads, chat_messages,
        travel_itineraries, feature_usage TO {role};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}
"""
# Of a size: users, threads with a count that is wrong more often than not, messages, itineraries of
# every malformed kind, and months.
CONTENTS = """
    SET session_replication_role = replica;
    INSERT INTO users (email, password_hash)
        SELECT n || '@example.org', 'x' FROM generate_series(1, {users}) AS n;
    INSERT INTO user_usage (user_id) SELECT id FROM users;
    INSERT INTO chat_threads (user_id, title, message_count)
        SELECT 1 + n % {users}, 'Thread ' || n, nullif(13 + (n % 10 - 3) * (n % 3)::int, 13 + 12)
          FROM generate_series(1, {threads}) AS n;
    INSERT INTO chat_messages (thread_id, role, content)
        SELECT 1 + n % {threads}, 'user', 'Is the old town safe at night?'
          FROM generate_series(1, {messages}) AS n;
    INSERT INTO travel_itineraries (user_id, title, data)
        SELECT 1 + n % {users}, 'Trip ' || n,
               (ARRAY['{{"waypoints": [1, 2, 3]}}', '{{}}', '[]', '{{"waypoints": null}}', '"text"',
                      '{{"waypoints": {{}}}}', '7'])[1 + n % 7]::jsonb
          FROM generate_series(1, {threads}) AS n;
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
        SELECT id, feature, 3, month, (month + interval '1 month - 1 day')::date
          FROM users, (VALUES ('map_export'), ('api_access')) AS used (feature),
               (VALUES (date_trunc('month', now() AT TIME ZONE 'UTC')::date),
                       (date '2026-01-01')) AS known (month);
    SET session_replication_role = origin;
    ANALYZE
"""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much there is."""

    messages: int

    @property
    def threads(self) -> int:
        return self.messages // 13

    @property
    def users(self) -> int:
        return max(self.threads // 15, 5)

    def fill(self, database: ScratchDatabase) -> None:
        database.run(
            CONTENTS.format(messages=self.messages, threads=self.threads, users=self.users)
        )


@dataclass
class Writer:
    """One connection under the application's role.

    Attributes:
        slowest: seconds of the longest transaction, and what it was.
        done: when each transaction ended, in the time of `time.monotonic`.
        messages: how many messages were committed, by user.
        uses: how many uses, by user and feature.
        errors: what failed. Nothing may.
    """

    database: ScratchDatabase
    role: str
    size: Size
    number: int
    slowest: tuple[float, str] = (0.0, "")
    done: list[float] = field(default_factory=list)
    messages: Tally[int] = field(default_factory=Tally)
    uses: Tally[tuple[int, str]] = field(default_factory=Tally)
    errors: list[str] = field(default_factory=list)

    def work(self, stop: threading.Event) -> Writer:
        self.chance = random.Random(self.number)
        with self.database.connect() as session:
            session.execute(SQL("SET ROLE {}").format(Identifier(self.role)))
            session.execute("SET application_name = 'existing application'")
            while not stop.is_set():
                operation = self.chance.choice(OPERATIONS)
                begun = time.monotonic()
                try:
                    with session.transaction():
                        operation(self, session)
                except psycopg.Error as error:
                    self.errors.append(f"{operation.__name__}: {error}")
                ended = time.monotonic()
                self.done.append(ended)
                self.slowest = max(self.slowest, (ended - begun, operation.__name__))
        return self

    def some_thread(self) -> int:
        """Any but the last hundred, which belong to the careful writer."""
        return self.chance.randint(1, self.size.threads - CAREFUL)

    def some_user(self) -> int:
        return self.chance.randint(1, self.size.users)


CAREFUL = 100  # threads
ADD = "INSERT INTO chat_messages (thread_id, role, content) VALUES (%s, 'user', 'Still there?')"


def make_thread(writer: Writer, session: Session) -> None:
    """A thread with its number of messages, and then these."""
    number, user = writer.chance.randint(1, 3), writer.some_user()
    made = session.execute(
        "INSERT INTO chat_threads (user_id, title, message_count) VALUES (%s, 'New', %s)"
        " RETURNING id",
        [user, number],
    ).fetchone()
    for _ in range(number):
        session.execute(ADD, made)
    writer.messages[user] += number


def add_messages(writer: Writer, session: Session) -> None:
    """Messages, and the same number once more by hand."""
    number, thread = writer.chance.randint(1, 3), writer.some_thread()
    for _ in range(number):
        session.execute(ADD, [thread])
    owner = session.execute(
        "UPDATE chat_threads SET message_count = message_count + %s WHERE id = %s"
        " RETURNING user_id",
        [number, thread],
    ).fetchone()
    assert owner
    writer.messages[owner[0]] += number


def archive_or_restore(writer: Writer, session: Session) -> None:
    session.execute(
        "UPDATE chat_threads SET is_archived = NOT is_archived, is_deleted = is_archived"
        " WHERE id = %s",
        [writer.some_thread()],
    )


def delete_by_hand(writer: Writer, session: Session) -> None:
    session.execute(
        "DELETE FROM chat_messages WHERE id = (SELECT id FROM chat_messages WHERE thread_id = %s"
        " LIMIT 1 FOR UPDATE SKIP LOCKED)",
        [writer.some_thread()],
    )


def save_itinerary(writer: Writer, session: Session) -> None:
    document = writer.chance.choice([{"waypoints": [1, 2]}, {"waypoints": None}, {}, [], "text", 7])
    session.execute(
        "UPDATE travel_itineraries SET data = %s, version = version + 1 WHERE id = %s",
        [json.dumps(document), writer.chance.randint(1, writer.size.threads)],
    )


def count_use(writer: Writer, session: Session) -> None:
    user = writer.some_user()
    session.execute("SELECT increment_feature_usage(%s, 'map_export')", [user])
    writer.uses[user, "map_export"] += 1


def count_use_by_script(writer: Writer, session: Session) -> None:
    user = writer.some_user()
    session.execute(
        "INSERT INTO feature_usage AS month (user_id, feature, usage_count, period_start,"
        " period_end) VALUES (%s, 'api_access', 2, '2026-01-01', '2026-01-31')"
        " ON CONFLICT (user_id, feature, period_start)"
        " DO UPDATE SET usage_count = month.usage_count + 2",
        [user],
    )
    writer.uses[user, "api_access"] += 2


Operation = Callable[[Writer, Session], None]
OPERATIONS: list[Operation] = [
    make_thread,
    add_messages,
    add_messages,
    archive_or_restore,
    delete_by_hand,
    save_itinerary,
    count_use,
    count_use_by_script,
]


@dataclass
class CarefulWriter(Writer):
    """Adds messages to threads whose counts are right, and counts nothing itself.

    The existing trigger keeps these right; so a count that is not what the rows say was made worse.

    Attributes:
        worse: threads, what was stored, and how many messages there were.
    """

    worse: list[tuple[int, int, int]] = field(default_factory=list)

    def work(self, stop: threading.Event) -> Writer:
        first = self.size.threads - CAREFUL + 1
        thread = first
        with self.database.connect() as session:
            session.execute(SQL("SET ROLE {}").format(Identifier(self.role)))
            while not stop.is_set():
                begun = time.monotonic()
                with session.transaction():
                    session.execute(ADD, [thread])
                    found: Any = session.execute(
                        "SELECT user_id, message_count, (SELECT count(*) FROM chat_messages"
                        " WHERE thread_id = chat_threads.id) FROM chat_threads WHERE id = %s",
                        [thread],
                    ).fetchone()
                ended = time.monotonic()
                user, stored, actual = found
                if stored != actual:
                    self.worse.append((thread, stored, actual))
                self.messages[user] += 1
                self.done.append(ended)
                self.slowest = max(self.slowest, (ended - begun, "the careful writer"))
                thread = first + (thread + 1 - first) % CAREFUL
                stop.wait(0.001)
        return self
