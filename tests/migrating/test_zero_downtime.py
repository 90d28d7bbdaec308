"""`manage.py migrate` while the existing application writes; `--takeover-messages` for more."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.legacy.conftest import LEGACY_SCHEMA
from tests.migrating.existing_writers import CAREFUL, GRANTS, CarefulWriter, Size, Writer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.scratch import ScratchDatabase

WRITERS = 4
FEW_WRITERS, MESSAGES = 2, 20_000  # without --takeover-messages
LONGEST_WAIT = 1.0  # second, as measured by a run of its own; a busy machine makes everybody wait
WRONG_THREADS = """
    SELECT id, thread_messages_count, message_count, actual
      FROM chat_threads
      CROSS JOIN LATERAL (SELECT count(*) AS actual FROM chat_messages
                           WHERE thread_id = chat_threads.id) AS counted
     WHERE thread_messages_count <> actual OR message_count IS DISTINCT FROM actual
     LIMIT 5
"""
USED = "SELECT user_id, chat_messages_used FROM user_usage"
USES = "SELECT user_id, feature, sum(usage_count) FROM feature_usage GROUP BY 1, 2"


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    return Size(messages=request.config.getoption("--takeover-messages") or MESSAGES)


@pytest.fixture
def production(scratch_database: ScratchDatabase, size: Size) -> Iterator[ScratchDatabase]:
    scratch_database.run(LEGACY_SCHEMA)
    size.fill(scratch_database)
    scratch_database.run(
        "SET session_replication_role = replica;"
        " UPDATE chat_threads SET message_count ="
        " (SELECT count(*) FROM chat_messages WHERE thread_id = chat_threads.id)"
        f" WHERE id > {size.threads - CAREFUL}"
    )
    role = f"existing_{scratch_database.name}"
    scratch_database.run(GRANTS.format(role=role))
    yield scratch_database
    scratch_database.run(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_nobody_who_writes_meanwhile_waits_for_long_or_fails_and_every_count_ends_exact(
    production: ScratchDatabase, size: Size, request: pytest.FixtureRequest
) -> None:
    role = f"existing_{production.name}"
    used_before = dict(production.rows(USED))
    uses_before = {(user, feature): n for user, feature, n in production.rows(USES)}
    stop = threading.Event()
    measured = request.config.getoption("--takeover-messages")
    writers = [
        *(
            Writer(production, role, size, number)
            for number in range(WRITERS if measured else FEW_WRITERS)
        ),
        careful := CarefulWriter(production, role, size, WRITERS),
    ]
    alone = 5.0 if measured else 0.2  # seconds before and after, to compare with
    with ThreadPoolExecutor(len(writers)) as pool:
        jobs = [pool.submit(writer.work, stop) for writer in writers]
        try:
            time.sleep(alone)
            begun = time.monotonic()
            migrated = production.manage("migrate", "--no-input", "--verbosity", "2", timeout=3600)
            ended = time.monotonic()
            time.sleep(alone)
        finally:
            stop.set()
        for job in jobs:
            job.result()

    assert migrated.returncode == 0, migrated.stderr
    if measured:
        print(describe(writers, migrated, begun=begun, ended=ended, alone=alone))  # noqa: T201 (-s shows it)
    assert [error for writer in writers for error in writer.errors] == []
    assert careful.worse == [], "a legacy count that was right was made wrong meanwhile"
    assert production.rows(WRONG_THREADS) == []
    audit = production.manage("audit_counters", "--no-record", timeout=600)
    assert audit.returncode == 0, audit.stdout
    for user, number in production.rows(USED):
        written = sum(writer.messages[user] for writer in writers)
        assert number == used_before[user] + written, f"user_usage of user {user}"
    for user, feature, number in production.rows(USES):
        written = sum(writer.uses[user, feature] for writer in writers)
        assert number == uses_before[user, feature] + written, f"{feature} of user {user}"
    if measured:
        assert max(writer.slowest for writer in writers)[0] < LONGEST_WAIT


def describe(
    writers: list[Writer],
    migrated: subprocess.CompletedProcess[str],
    *,
    begun: float,
    ended: float,
    alone: float,
) -> str:
    """The figures of a long run."""
    ends = [end for writer in writers for end in writer.done]
    rates = {
        "before": sum(end < begun for end in ends) / alone,
        "during": sum(begun <= end < ended for end in ends) / (ended - begun),
        "after": sum(end >= ended for end in ends) / alone,
    }
    steps = re.findall(r"Applying (\S+)\.\.\. OK \((\S+)s\)", migrated.stdout)
    return "\n".join(
        [
            *(f"{step:45} {seconds:>9} s" for step, seconds in steps if float(seconds) > 0.1),
            f"migrate took {ended - begun:.1f} s; longest transaction of each writer:",
            *(
                f"  {1000 * seconds:6.0f} ms, {what}"
                for seconds, what in sorted(w.slowest for w in writers)
            ),
            *(f"{moment}: {rate:,.0f} transactions/s" for moment, rate in rates.items()),
            migrated.stderr,
        ]
    )
