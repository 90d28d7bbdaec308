"""One user and one thread, written to in every way there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS

from sentinel.counters import audit_counters, find_counters

if TYPE_CHECKING:
    import psycopg

FEATURE = "map_export"

# Each adds one to a counter of the subject.
WRITES = {
    "a message": "INSERT INTO chat_messages (thread_id, role, content)"
    " VALUES (%(thread)s, 'user', 'Is the old town safe at night?')",
    "an admitted use": "SELECT admitted FROM admit_feature_usage(%(user)s, %(feature)s, 1, NULL)",
    "an event": "INSERT INTO feature_usage_events (user_id, feature)"
    " VALUES (%(user)s, %(feature)s)",
    "an upsert of the existing application": "INSERT INTO feature_usage AS month"
    " (user_id, feature, usage_count, period_start, period_end)"
    " SELECT %(user)s, %(feature)s, 1, first, (first + interval '1 month' - interval '1 day')::date"
    " FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date) AS this_month (first)"
    " ON CONFLICT (user_id, feature, period_start)"
    " DO UPDATE SET usage_count = month.usage_count + 1",
}
STORED = {
    "chat_threads.thread_messages_count": "SELECT thread_messages_count, message_count"
    " FROM chat_threads WHERE id = %(thread)s",
    "feature_usage.usage_count": "SELECT uses, uses"
    " FROM (SELECT coalesce(sum(usage_count), 0) FROM feature_usage"
    " WHERE user_id = %(user)s) AS month (uses)",
}
COUNTER_OF = {
    write: "chat_threads.thread_messages_count"
    if write == "a message"
    else "feature_usage.usage_count"
    for write in WRITES
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose counters are looked at.

    Attributes:
        user: the key of a user.
        thread: the key of a thread of theirs.
    """

    user: int
    thread: int

    @property
    def values(self) -> dict[str, Any]:
        return {"user": self.user, "thread": self.thread, "feature": FEATURE}

    def write(self, session: psycopg.Connection[Any], kind: str) -> None:
        session.execute(WRITES[kind], self.values)

    def stored(self, session: psycopg.Connection[Any], kind: str) -> int:
        """The counter that this kind of write adds to; its mirror says the same."""
        found = session.execute(STORED[COUNTER_OF[kind]], self.values).fetchall()
        [(counter, mirror)] = found
        assert counter == mirror
        return int(counter)


def assert_all_exact(*, using: str = DEFAULT_DB_ALIAS, names: list[str] | None = None) -> None:
    """Audit the counters: every one, or those of these names."""
    for report in audit_counters(find_counters(names or []), using=using):
        assert report.exact, report
