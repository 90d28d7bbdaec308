"""A migration that finds a table busy gives way: nobody waits behind it for a long reader."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection

from sentinel.counters import find_problems
from sentinel.migrating import run_migrations
from tests.faults.test_interrupted import wait_until
from tests.legacy.conftest import legacy_database
from tests.scratch import PROJECT

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]

READ = "SELECT (SELECT count(*) FROM chat_threads), (SELECT count(*) FROM chat_messages)"
SAY = "INSERT INTO chat_messages (thread_id, role, content) VALUES (1, 'user', 'And by night?')"
SOMEBODY_WAITS = """
    SELECT FROM pg_locks
     WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND locktype = 'relation' AND NOT granted
"""


def test_who_comes_behind_a_migration_does_not_wait_for_the_long_reader_before_it(
    legacy_database: ScratchDatabase,
) -> None:
    """A lock that is waited for lets nobody pass, readers neither."""
    with legacy_database.connect() as reader, legacy_database.connect() as other:
        other.execute("SET statement_timeout = '20s'")
        reader.execute("BEGIN")
        reader.execute(READ)
        with subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--no-input"],
            cwd=PROJECT,
            env=legacy_database.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as migration:
            try:
                wait_until(lambda: other.execute(SOMEBODY_WAITS).fetchall(), "it waits", seconds=60)
                for _ in range(3):
                    other.execute(SAY)
                    other.execute(READ)
                assert migration.poll() is None, "it was to wait for the reader"
                reader.execute("COMMIT")
                assert migration.wait(timeout=120) == 0
            finally:
                migration.kill()
        assert other.execute(
            "SELECT thread_messages_count, message_count FROM chat_threads WHERE id = 1"
        ).fetchall() == [(6, 6)]


def test_four_who_install_at_once_do_it_one_after_the_other(committed: None) -> None:
    """Side by side they would replace the same functions: "tuple concurrently updated"."""

    def install() -> None:
        try:
            run_migrations(
                lambda: call_command("pgtrigger", "install", verbosity=0),
                using=DEFAULT_DB_ALIAS,
                tell=lambda _: None,
            )
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(install) for _ in range(4)]:
            job.result()
    assert find_problems() == []
