"""Two months of audits, with one incident: a trigger was off for a night, and was repaired."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from factory.random import randgen

from sentinel.counters import audit_counter, declared_counters
from sentinel.counters.models import CounterAudit, CounterRepair, CounterRepairRun
from sentinel.counters.problems import Problem
from sentinel.counters.repair_run import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel.counters import BoundCounter
    from threads.models import ChatThread

NIGHTS = 60  # less than records are kept for
AT = time(2, 30, tzinfo=UTC)  # as deploy/crontab has it
INCIDENT = 12  # nights ago
COUNTER = "chat_threads.thread_messages_count"
WRONG_THREADS = 7
REPAIRED_AFTER = timedelta(hours=6, minutes=12)  # when somebody had come to work
AUDITED_AGAIN_AFTER = timedelta(minutes=3)
PROBLEM = Problem(
    id="counters.trigger_disabled",
    subject="chat_messages.thread_messages_count_on_insert",
    message="The trigger is there, but switched off: what is inserted is not counted.",
    cure="ALTER TABLE chat_messages ENABLE TRIGGER ALL, then `manage.py repair_counters`.",
)


def add_audit_history(threads: Sequence[ChatThread], *, now: datetime) -> None:
    """Add a night's audit of each counter for two months, unless somebody has audited here.

    Args:
        threads: some of them were wrong for a night; there are messages in them.
        now: the last audit is that of the night before.
    """
    if CounterAudit.objects.exists() or CounterRepairRun.objects.exists():
        return
    counters = list(declared_counters())
    last = datetime.combine(now.astimezone(UTC).date(), AT)
    if last > now:
        last -= timedelta(days=1)
    rows = {counter.name: audit_counter(counter).rows_checked for counter in counters}
    audits = []
    for night in range(NIGHTS, -1, -1):
        at = last - timedelta(days=night)
        grown = 1 - night / (NIGHTS * 2)  # half of the rows were there when it began
        for counter in counters:
            audit = _build_audit(counter, at=at, rows=round(rows[counter.name] * grown))
            if night == INCIDENT and counter.name == COUNTER and threads:
                _spoil(audit, threads)
            audits.append(audit)
        if night == INCIDENT and threads:
            repaired_at = at + REPAIRED_AFTER
            _add_repair(threads[:WRONG_THREADS], at=repaired_at)
            audits += [
                _build_audit(
                    counter,
                    at=repaired_at + AUDITED_AGAIN_AFTER,
                    rows=round(rows[counter.name] * grown),
                )
                for counter in counters
            ]
    CounterAudit.objects.bulk_create(audits)


def _build_audit(counter: BoundCounter, *, at: datetime, rows: int) -> CounterAudit:
    return CounterAudit(
        counter=counter.name,
        audited_at=at,
        exact=True,
        rows_checked=rows,
        rows_in_drift=0,
        largest_drift=0,
        summed_drift=0,
        problems=[],
        seconds=round(0.004 + rows * randgen.uniform(1.5e-5, 2.5e-5), 4),
    )


def _spoil(audit: CounterAudit, threads: Sequence[ChatThread]) -> None:
    wrong = [_missed(thread) for thread in threads[:WRONG_THREADS]]
    audit.exact = False
    audit.rows_in_drift = len(wrong)
    audit.largest_drift = max(wrong)
    audit.summed_drift = sum(wrong)
    audit.problems = [asdict(PROBLEM)]


def _missed(thread: ChatThread) -> int:
    """Return how many messages of a thread were not counted that night."""
    return 1 + thread.pk % 2


def _add_repair(threads: Sequence[ChatThread], *, at: datetime) -> None:
    run = CounterRepairRun.objects.create(
        outcome=Outcome.COMPLETE,
        started_at=at,
        ended_at=at + timedelta(seconds=1),
        counters=[COUNTER],
        database_user="sentinel",
        host="app-1",
        process=4711,
        backend=4712,
        batches=1,
        rows_repaired=len(threads),
    )
    CounterRepair.objects.bulk_create(
        CounterRepair(
            run=run,
            counter=COUNTER,
            key=thread.pk,
            before=dict.fromkeys(_columns(), thread.thread_messages_count - _missed(thread)),
            after=dict.fromkeys(_columns(), thread.thread_messages_count),
            repaired_at=at,
        )
        for thread in threads
    )


def _columns() -> tuple[str, ...]:
    return ("thread_messages_count", "message_count")
