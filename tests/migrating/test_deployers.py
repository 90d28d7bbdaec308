"""Deployers who come at once, and one who is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from django.db import connections

from sentinel.counters.run_lock import hold_run_lock
from sentinel.migrating import DeployerAtWorkError, run_migrations
from sentinel.migrating.deploying import LOCK
from tests.faults.server import connected_as
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

RECORDED_TWICE = "SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1"


def begin(database: ScratchDatabase) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--no-input"],
        cwd=PROJECT,
        env=database.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    _, errors = process.communicate(timeout=300)  # a machine may be busy
    assert process.returncode == 0, errors
    return errors


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read until it says so; it tells of each attempt, for a minute, and then ends."""
    assert process.stderr
    told = ""
    while words not in told:
        told = process.stderr.readline()
        assert told, f"it never said: {words}"


def is_exact(database: ScratchDatabase) -> bool:
    return database.manage("audit_counters", "--no-record").returncode == 0


def test_two_deployers_at_once_take_turns(legacy_database: ScratchDatabase) -> None:
    one, two = begin(legacy_database), begin(legacy_database)
    finish(one)
    finish(two)
    assert legacy_database.rows(RECORDED_TWICE) == []
    assert is_exact(legacy_database)


def test_a_deployer_waits_for_the_other_and_then_for_its_locks_and_says_so(
    legacy_database: ScratchDatabase, django_db_blocker
) -> None:
    """Django's own foreign key to users is in an atomic migration, which is begun again."""
    with legacy_database.connect() as writer:
        writer.execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE")
        with (
            django_db_blocker.unblock(),
            connected_as("legacy", legacy_database) as alias,
            hold_run_lock(LOCK, using=alias) as lock,
        ):
            assert lock
            process = begin(legacy_database)
            wait_for_line(process, f"Another deployer is at work: process {lock.backend} ")
            made = legacy_database.rows("SELECT to_regclass('django_migrations')::text")
            assert made == [(None,)]
        wait_for_line(process, f"waits for users: process {writer.info.backend_pid} ")
        writer.execute("ROLLBACK")
    finish(process)
    assert legacy_database.rows(RECORDED_TWICE) == []


def test_a_deployer_does_not_wait_for_ever(
    scratch_database: ScratchDatabase, django_db_blocker
) -> None:
    ran: list[str] = []
    with (
        django_db_blocker.unblock(),
        connected_as("legacy", scratch_database) as alias,
        hold_run_lock(LOCK, using=alias),
        pytest.raises(DeployerAtWorkError, match="end it if it hangs"),
    ):
        run_migrations(lambda: ran.append("ran"), using=alias, tell=ran.append, longest_wait=0.0)
    assert "ran" not in ran


def test_the_editor_of_the_connection_is_the_usual_one_afterwards(
    scratch_database: ScratchDatabase, django_db_blocker
) -> None:
    with django_db_blocker.unblock(), connected_as("legacy", scratch_database) as alias:
        before = connections[alias].SchemaEditorClass
        run_migrations(lambda: None, using=alias, tell=lambda _line: None)
        assert connections[alias].SchemaEditorClass is before


def test_a_migration_that_was_killed_again_and_again_is_simply_run_again(
    legacy_database: ScratchDatabase,
) -> None:
    """Each time somebody holds up another step."""
    for table in ("users", "chat_messages", "feature_usage"):
        with legacy_database.connect() as writer:
            writer.execute("BEGIN")
            writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE".encode())
            process = begin(legacy_database)
            wait_for_line(process, f"waits for {table}: process {writer.info.backend_pid} ")
            process.send_signal(signal.SIGKILL)
            process.communicate()
            writer.execute("ROLLBACK")
    finish(begin(legacy_database))
    assert legacy_database.rows(RECORDED_TWICE) == []
    assert is_exact(legacy_database)
