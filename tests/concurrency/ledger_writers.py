"""Writers of usage on connections of their own, doing at random what real ones do."""

from __future__ import annotations

import random
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString

import psycopg
from django.db import connection
from django.utils import timezone

from sentinel.counters import RepairRunningError, Selection, find_counters, repair_counters
from tests.concurrency.writers import Undone, connect
from tests.ledger import USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

USERS = 8
FEATURES = ("map_export", "api_access", "chat_messages_monthly")
MONTHS = ("2026-01-15 12:00Z", "2026-02-15 12:00Z")

# As the existing scripts write.
UPSERT = """
    INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)
    VALUES (%s, %s, %s, date_trunc('month', %s::timestamptz AT TIME ZONE 'UTC'), '2026-12-31')
        ON CONFLICT (user_id, feature, period_start)
        DO UPDATE SET usage_count = feature_usage.usage_count + EXCLUDED.usage_count
"""
ADD_USER = """
    INSERT INTO users (email, password_hash) VALUES (gen_random_uuid() || '@example.org', '')
    RETURNING id
"""


@dataclass
class LedgerWriter:
    """One connection that writes at random.

    Attributes:
        users: their keys, shared by all writers; one who is deleted is replaced.
        random: the writer's own source of chance.
        done: how often each operation was done.
    """

    users: list[int]
    random: random.Random
    done: Tally[str] = field(default_factory=Tally)

    # One statement each: none may ever be a deadlock's victim.
    SINGLE: ClassVar[tuple[str, ...]] = (
        "append_one",
        "append_over_many_months",
        "append_with_keys",
        "admit",
        "refund",
        "upsert",
        "increment",
    )
    ALL: ClassVar[tuple[str, ...]] = (
        *SINGLE,
        "append_and_undo",
        "change_one_month",
        "write_events_and_month_in_one_statement",
        "replace_month",
        "delete_some_events",
        "delete_month",
        "delete_user",
        "repair",
    )

    def work(self, operations: tuple[str, ...], number: int) -> Tally[str]:
        try:
            with connect() as self.connection:
                for _ in range(number):
                    name = self.random.choice(operations)
                    self.attempt(name, getattr(self, name))
        finally:
            connection.close()  # Django's own, which a repair has opened in this thread
        return self.done

    def attempt(self, name: str, operation: Callable[[], None]) -> None:
        """Do it again after a deadlock, as any application must; count what came of it."""
        for _ in range(20):
            try:
                operation()
            except Undone:
                self.done[name] += 1
            except psycopg.errors.ForeignKeyViolation:
                self.done["user was gone"] += 1  # deleted by another writer meanwhile
            except psycopg.errors.CheckViolation:
                self.done["nothing to take from"] += 1  # the month was deleted meanwhile
            except psycopg.errors.NoDataFound:
                self.done["event was gone"] += 1  # likewise
            except RepairRunningError:
                self.done["another repaired"] += 1
            except psycopg.errors.DeadlockDetected:
                self.done["deadlock"] += 1
                continue
            else:
                self.done[name] += 1
            return
        raise AssertionError(f"{name} failed twenty times in a row: {self.done}")

    def sql(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []

    def key(self) -> tuple[int, str, str]:
        """A user, a feature, and a moment of a month."""
        return (
            self.random.choice(self.users),
            self.random.choice(FEATURES),
            self.random.choice(MONTHS),
        )

    # ------------------------------------------------------------------------------- operations

    def append_one(self) -> None:
        self.sql(
            "INSERT INTO feature_usage_events (user_id, feature, occurred_at, quantity)"
            " VALUES (%s, %s, %s, 2)",
            *self.key(),
        )

    def append_over_many_months(self) -> None:
        self.sql(
            "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
            " SELECT user_id, feature, at FROM unnest(%s::int[]) AS user_id,"
            " unnest(%s::text[]) AS feature, unnest(%s::timestamptz[]) AS at ORDER BY random()",
            self.random.sample(self.users, 3),
            list(FEATURES),
            list(MONTHS),
        )

    def append_with_keys(self) -> None:
        self.sql(
            "INSERT INTO feature_usage_events (user_id, feature, occurred_at, idempotency_key)"
            " SELECT user_id, %s, %s, key::text FROM unnest(%s::int[]) AS user_id,"
            " generate_series(%s, %s) AS key ORDER BY 1, 4 ON CONFLICT DO NOTHING",
            *self.key()[1:],
            self.random.sample(self.users, 2),
            first := self.random.randrange(200),
            first + 4,
        )

    def append_and_undo(self) -> None:
        with self.connection.transaction():
            self.append_over_many_months()
            raise Undone

    def admit(self) -> None:
        """With keys of its own: it locks the month, then takes the key, others the key first."""
        user, feature, moment = self.key()
        self.sql(
            "SELECT admit_feature_usage(%s, %s, 1, %s, %s, occurred_at => %s)",
            user,
            feature,
            self.random.choice((None, 50)),
            f"admission {self.random.randrange(200)}",
            moment,
        )

    def refund(self) -> None:
        self.sql(
            "SELECT refund_feature_usage(id, 'failed') FROM feature_usage_events"
            " WHERE user_id = %s AND feature = %s AND quantity > 0 ORDER BY random() LIMIT 1",
            *self.key()[:2],
        )

    def increment(self) -> None:
        legacy: LiteralString = "SELECT increment_feature_usage(%s, %s)"
        safe: LiteralString = "SELECT increment_feature_usage_safe(%s, %s)"
        self.sql(self.random.choice((legacy, safe)), *self.key()[:2])

    def upsert(self) -> None:
        user, feature, moment = self.key()
        self.sql(UPSERT, user, feature, self.random.randint(0, 3), moment)

    def change_one_month(self) -> None:
        self.sql(
            "UPDATE feature_usage SET usage_count = %s WHERE id = (SELECT id FROM feature_usage"
            " WHERE user_id = %s AND feature = %s ORDER BY random() LIMIT 1)",
            self.random.choice((0, 7, None)),
            *self.key()[:2],
        )

    def write_events_and_month_in_one_statement(self) -> None:
        user, feature, moment = self.key()
        self.sql(
            "WITH added AS (INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
            " SELECT %s, unnest(%s::text[]), %s)"
            " UPDATE feature_usage SET usage_count = usage_count + 1"
            " WHERE user_id = %s AND feature = %s",
            user,
            [feature, "saved_searches"],
            moment,
            user,
            feature,
        )

    def replace_month(self) -> None:
        self.sql(
            "WITH gone AS (DELETE FROM feature_usage WHERE user_id = %s AND feature = %s"
            " RETURNING user_id, feature, period_start)"
            " INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
            " SELECT user_id, feature, period_start::timestamp AT TIME ZONE 'UTC' FROM gone",
            *self.key()[:2],
        )

    def delete_some_events(self) -> None:
        self.sql(
            "DELETE FROM feature_usage_events WHERE id IN (SELECT id FROM feature_usage_events"
            " WHERE user_id = ANY (%s) ORDER BY random() LIMIT 5)",
            self.random.sample(self.users, 3),
        )

    def delete_month(self) -> None:
        self.sql("DELETE FROM feature_usage WHERE user_id = %s AND feature = %s", *self.key()[:2])

    def delete_user(self) -> None:
        place = self.random.randrange(len(self.users))
        [(new,)] = self.sql(ADD_USER)
        self.sql("DELETE FROM users WHERE id = %s", self.users[place])
        self.users[place] = new

    def repair(self) -> None:
        [counter] = find_counters([USAGE])
        repair_counters([Selection(counter=counter)], now=timezone.now())


def write_usage_at_random(
    *, seed: int, operations: tuple[str, ...], connections: int, each: int
) -> Tally[str]:
    """Let writers write side by side, and return how often each operation was done."""
    with connect() as first:
        users = [first.execute(ADD_USER).fetchall()[0][0] for _ in range(USERS)]
    writers = [
        LedgerWriter(users=users, random=random.Random(f"{seed} {number}"))
        for number in range(connections)
    ]
    with ThreadPoolExecutor(connections) as pool:
        done = pool.map(lambda writer: writer.work(operations, each), writers)
    return sum(done, Tally())
