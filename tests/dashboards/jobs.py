"""What the tests of the counters' health have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel.counters.models import CounterAudit
from tests.rows import execute

if TYPE_CHECKING:
    from datetime import datetime

THREADS = "chat_threads.thread_messages_count"


def plant_drift(thread: int, *, count: int = 99) -> None:
    """Write a wrong count past the triggers."""
    execute("SET LOCAL session_replication_role = replica")
    execute(f"UPDATE chat_threads SET thread_messages_count = {count} WHERE id = {thread}")
    execute("SET LOCAL session_replication_role = origin")


def add_audit(*, at: datetime, counter: str = THREADS, rows_in_drift: int = 0) -> CounterAudit:
    """Record an audit as if it had been made."""
    return CounterAudit.objects.create(
        counter=counter,
        audited_at=at,
        exact=not rows_in_drift,
        rows_checked=1_000,
        rows_in_drift=rows_in_drift,
        largest_drift=rows_in_drift,
        summed_drift=rows_in_drift,
        seconds=0.5,
    )
