"""The files for psql do what the migrations do, and can be run at any time."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from django.db.migrations import Migration, RunPython

from sentinel.deployment.scripts import find_stale_scripts, write_scripts
from sentinel.deployment.steps import StepsError, read_graph, steps_forwards
from tests.deploying.catalog import differences, read_definitions
from tests.deploying.psql import FORWARD, PATIENCE, ROLLBACK, run_files, run_psql, start_file
from tests.deploying.rows import CONTENTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scratch import ScratchDatabase

COUNTS = """
    SELECT 'threads', count(*), sum(thread_messages_count), sum(message_count) FROM chat_threads
    UNION ALL SELECT 'messages', count(*), 0, 0 FROM chat_messages
    UNION ALL SELECT 'itineraries', count(*), sum(destinations_count), 0 FROM travel_itineraries
    ORDER BY 1
"""


def test_the_files_are_what_the_migrations_say() -> None:
    stale = find_stale_scripts()
    assert not stale, (
        f"{', '.join(path.name for path in stale)} in deploy/ is not what the migrations do. If "
        "you changed a migration, run `make deploy-sql`. If you changed a file there: change the "
        "migration instead."
    )


def test_a_file_that_is_missing_or_was_edited_is_stale_until_it_is_written(tmp_path: Path) -> None:
    write_scripts(tmp_path)
    assert find_stale_scripts(tmp_path) == []
    (tmp_path / ROLLBACK).unlink()
    (tmp_path / FORWARD[0]).write_text("SELECT 1;\n")
    assert {path.name for path in find_stale_scripts(tmp_path)} == {ROLLBACK, FORWARD[0]}
    assert {path.name for path in write_scripts(tmp_path)} == {ROLLBACK, FORWARD[0]}
    assert write_scripts(tmp_path) == []


def test_a_migration_that_is_no_sql_is_refused_by_name() -> None:
    class InPython(Migration):
        operations = (RunPython(RunPython.noop),)

    loader = read_graph()
    key = ("usage", "9999_in_python")
    loader.graph.add_node(key, InPython(key[1], key[0]))
    with pytest.raises(StepsError, match=r"^usage\.9999_in_python: .* cannot be written as SQL"):
        steps_forwards(loader, key)


def test_each_file_prints_its_audit_and_can_be_run_again(production: ScratchDatabase) -> None:
    said = run_files(production, *FORWARD)
    assert "audit of chat_threads.thread_messages_count: 3 rows, 0 mismatches" in said
    assert "audit of travel_itineraries.destinations_count: 7 rows, 0 mismatches" in said
    assert "audit of feature_usage.usage_count: 2 rows, 0 mismatches" in said
    definitions, contents = read_definitions(production), production.rows(CONTENTS)
    assert production.rows(COUNTS) == [
        ("itineraries", 7, 5, 0),
        ("messages", 6, 0, 0),
        ("threads", 3, 6, 6),
    ]

    assert read_audits(run_files(production, *FORWARD)) == read_audits(said)
    assert differences(definitions, read_definitions(production)) == {}
    assert production.rows(CONTENTS) == contents


def read_audits(said: str) -> list[str]:
    return re.findall("audit of .*", said)


def test_a_file_stops_at_the_first_error_and_names_what_contradicts(
    production: ScratchDatabase,
) -> None:
    production.run("ALTER TABLE chat_threads ALTER COLUMN title TYPE varchar(100)")
    before = read_definitions(production)
    done = run_psql(production, "", "--file", FORWARD[0])
    assert done.returncode == 3, "psql ends with 3 where ON_ERROR_STOP stopped it"
    assert "chat_threads.title: found character varying(100), expected text" in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert differences(before, read_definitions(production)) == {}


def test_a_file_names_what_a_partial_database_lacks(production: ScratchDatabase) -> None:
    production.run("ALTER TABLE feature_usage DROP COLUMN created_at")
    before = read_definitions(production)
    done = run_psql(production, "", "--file", FORWARD[1])
    assert done.returncode == 3
    assert "lacks feature_usage.created_at; nothing" in done.stderr
    assert differences(before, read_definitions(production)) == {}


def test_a_file_is_refused_within_a_transaction(production: ScratchDatabase) -> None:
    before = read_definitions(production)
    done = run_psql(production, "", "--single-transaction", "--file", FORWARD[0])
    assert done.returncode == 3
    assert "invalid transaction termination" in done.stderr
    assert differences(before, read_definitions(production)) == {}


def test_a_step_waits_for_a_busy_table_and_lets_others_pass_meanwhile(
    production: ScratchDatabase,
) -> None:
    with production.connect() as report, report.transaction():
        report.execute("SELECT count(*) FROM chat_threads")
        running = start_file(production, FORWARD[0])
        given_up = 0
        waited = False
        with production.connect() as observer:
            while given_up < 2:
                row = observer.execute(
                    "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid"
                    " WHERE datname = current_database() AND NOT granted"
                ).fetchone()
                waits = row is not None and row[0] > 0
                given_up += waited and not waits
                waited = waits
                assert running.poll() is None, running.communicate()
                time.sleep(0.02)
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, err
    assert "audit of chat_threads.thread_messages_count: 3 rows, 0 mismatches" in err


def test_an_index_that_was_left_half_built_is_built_anew(production: ScratchDatabase) -> None:
    name = "idx_chat_threads_messages_count"
    run_files(production, FORWARD[0])
    whole = production.rows(f"SELECT pg_get_indexdef('{name}'::regclass)")
    production.run(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")
    run_files(production, FORWARD[0])
    assert production.rows(f"SELECT pg_get_indexdef('{name}'::regclass)") == whole
    assert production.rows(
        f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{name}'::regclass"
    ) == [(True,)]
