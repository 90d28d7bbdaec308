"""Writers of every kind, audits, repairs and drift at once; `--soak MINUTES` for longer."""

from __future__ import annotations

import time
from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.soak import (
    OPERATIONS,
    Rows,
    Run,
    Writer,
    audit_on_and_on,
    make_drift,
    repair_on_and_on,
    repair_once,
)
from tests.faults.subject import Subject, assert_all_exact
from tests.rows import execute, insert, new_user

CONNECTIONS = 10
SUBJECTS = 20
SECONDS = 10.0  # without --soak


@pytest.fixture
def subjects(committed: None) -> list[Subject]:
    subjects = []
    for _ in range(SUBJECTS):
        user = new_user()
        thread = insert("chat_threads", {"user_id": user, "title": "Oslo"}, returning="id")
        subjects.append(Subject(user=user, thread=thread))
    return subjects


def present(subjects: list[Subject]) -> Tally[Rows]:
    """What is there, counted from the rows themselves."""
    messages = dict(execute("SELECT thread_id, count(*) FROM chat_messages GROUP BY 1"))
    uses = dict(execute("SELECT user_id, sum(quantity) FROM feature_usage_events GROUP BY 1"))
    found: Tally[Rows] = Tally()
    for place, subject in enumerate(subjects):
        found[Rows(place, "messages")] = messages.get(subject.thread, 0)
        found[Rows(place, "uses")] = uses.get(subject.user, 0)
    return found


def test_nothing_is_lost_and_no_alarm_is_false_while_everything_happens_at_once(
    request: pytest.FixtureRequest, subjects: list[Subject], seed: int
) -> None:
    minutes = request.config.getoption("--soak")
    seconds = SECONDS if minutes is None else minutes * 60
    run = Run(
        subjects=subjects,
        drifting=subjects[::2],
        seed=seed,
        deadline=time.monotonic() + seconds,
    )
    with ThreadPoolExecutor(CONNECTIONS + 3) as pool:
        working = [
            pool.submit(Writer(run, f"{seed} {number}").work) for number in range(CONNECTIONS)
        ]
        drift = pool.submit(make_drift, run)
        audits = pool.submit(audit_on_and_on, run)
        repairs = pool.submit(repair_on_and_on, run)
        writers = [job.result() for job in working]
    done = sum((writer.done for writer in writers), Tally())
    written: Tally[Rows] = Tally()
    for writer in writers:
        written.update(writer.rows)
    print(  # noqa: T201 (the figures of a long run: -s shows them)
        f"{sum(done[name] for name in OPERATIONS):,} operations, {done['deadlock']:,} deadlocks,"
        f" {done['refused by the server']} refused by the server,"
        f" {audits.result():,} audits, {drift.result():,} rows made wrong,"
        f" {repairs.result():,} repaired"
    )
    assert not run.alarms, f"false alarms; repeat with --seed {seed}"
    assert present(subjects) == written, f"a write was lost; repeat with --seed {seed}"
    repair_once()
    assert_all_exact()
