"""Every statement of the deployment guide, as it stands there, on a deployed database at work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.deploying.conftest import CLEAN_DATA
from tests.deploying.psql import FORWARD, run_files, run_psql
from tests.deploying.writers import Writers
from tests.faults.databases import made_database, suite_server
from tests.faults.server import do_without
from tests.legacy.conftest import LEGACY_SCHEMA
from tests.scratch import PROJECT, ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = PROJECT.parent / "shared" / "guide_statements.sql"
INTEGER = re.compile(r"^\d+$")


def read_blocks() -> dict[str, str]:
    """Return the statements by their names."""
    if not GUIDE.is_file():
        return {}
    _, *parts = re.split(
        r"^-- name: ([\w-]+) \| expect: .*\n", GUIDE.read_text(), flags=re.MULTILINE
    )
    return dict(zip(parts[0::2], parts[1::2], strict=True))


BLOCKS = read_blocks()


@dataclass(frozen=True, kw_only=True)
class Said:
    """What psql said: rows with their columns apart, and the SQLSTATEs of errors."""

    rows: list[list[str]]
    errors: list[str]
    text: str


def run_block(database: ScratchDatabase, name: str) -> Said:
    if not BLOCKS:
        do_without(f"the guide's statements are not there: {GUIDE}")
    done = run_psql(
        database, BLOCKS[name], "--no-align", "--tuples-only", "--set=VERBOSITY=verbose", "--quiet"
    )
    return Said(
        rows=[line.split("|") for line in done.stdout.splitlines() if line],
        errors=re.findall(r"^ERROR:  (\w{5}):", done.stderr, flags=re.MULTILINE),
        text=done.stdout + done.stderr,
    )


def run_without_error(database: ScratchDatabase, name: str) -> list[list[str]]:
    said = run_block(database, name)
    assert said.errors == [], said.text
    return said.rows


@pytest.fixture(scope="module")
def at_work(django_db_setup: None, django_db_blocker) -> Iterator[ScratchDatabase]:
    """A deployed database with data, and the existing application writing to it."""
    with django_db_blocker.unblock():
        server = suite_server()
    with made_database(server) as name:
        database = ScratchDatabase(name=name, server=server)
        database.run(LEGACY_SCHEMA)
        database.run(CLEAN_DATA)
        run_files(database, *FORWARD)
        with Writers(database):
            yield database


def drift(database: ScratchDatabase, statement: str) -> None:
    """Write behind the triggers' back."""
    database.run(f"BEGIN; SET LOCAL session_replication_role = replica; {statement}; COMMIT")


def test_every_statement_of_the_guide_has_a_test_here() -> None:
    if not BLOCKS:
        do_without(f"the guide's statements are not there: {GUIDE}")
    source = (PROJECT / "tests/deploying/test_guide.py").read_text()
    missing = [name for name in BLOCKS if f'"{name}"' not in source]
    assert missing == []


@pytest.mark.parametrize("name", ["accuracy-threads", "accuracy-itineraries"])
def test_the_accuracy_checks_count_nothing_wrong(name: str, at_work: ScratchDatabase) -> None:
    assert run_without_error(at_work, name) == [["0"]]


def test_the_newest_users_threads_have_true_counts(at_work: ScratchDatabase) -> None:
    before = count_messages(at_work)
    rows = run_without_error(at_work, "counters-maintained")
    after = count_messages(at_work)
    assert 1 <= len(rows) <= 5
    for thread, _, counted in rows:
        assert before[int(thread)] <= int(counted) <= after[int(thread)]


def count_messages(database: ScratchDatabase) -> dict[int, int]:
    return dict(
        database.rows(
            "SELECT t.id, count(m.id) FROM chat_threads AS t"
            " LEFT JOIN chat_messages AS m ON m.thread_id = t.id GROUP BY t.id"
        )
    )


def test_what_was_counted_lately_is_listed(at_work: ScratchDatabase) -> None:
    features = {row[2] for row in run_without_error(at_work, "usage-tracked")}
    assert "api_access" in features, "the writers use it all the time"
    assert "map_export" not in features, "nobody does, this month"


@pytest.mark.parametrize("name", ["increment-function", "function-direct"])
def test_the_increment_function_counts_one_more_at_each_call(
    name: str, at_work: ScratchDatabase
) -> None:
    [[first]] = run_without_error(at_work, name)
    [[second]] = run_without_error(at_work, name)
    assert int(second) == int(first) + 1


def test_the_drift_monitor_finds_no_mismatches(at_work: ScratchDatabase) -> None:
    rows = run_without_error(at_work, "drift-monitor")
    assert sorted((name, int(total) > 0, wrong) for name, total, wrong in rows) == [
        ("chat_threads", True, "0"),
        ("travel_itineraries", True, "0"),
    ]


def test_usage_growth_has_a_row_for_each_feature_used_this_month(at_work: ScratchDatabase) -> None:
    growth = {row[0]: row[1:] for row in run_without_error(at_work, "usage-growth")}
    users, uses = growth["api_access"]
    assert int(users) == 2
    assert int(uses) >= 2


def test_the_query_of_before_counts_messages(at_work: ScratchDatabase) -> None:
    plan = "\n".join(row[0] for row in run_without_error(at_work, "explain-before"))
    assert "Aggregate" in plan
    assert "chat_messages" in plan


def test_the_query_of_after_reads_one_row_by_an_index(at_work: ScratchDatabase) -> None:
    plan = "\n".join(row[0] for row in run_without_error(at_work, "explain-after"))
    assert re.search(r"Index Scan using chat_threads_pkey .* rows=1", plan), plan
    assert "chat_messages" not in plan


def test_the_archive_of_cron_returns_how_many_rows_it_moved(at_work: ScratchDatabase) -> None:
    at_work.run(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES (3, 'team_users', 4, '2024-02-01', '2024-02-29')"
    )
    [[moved]] = run_without_error(at_work, "archive-cron")
    assert INTEGER.match(moved)
    assert int(moved) >= 1
    assert at_work.rows(
        "SELECT usage_count FROM feature_usage_archive WHERE feature = 'team_users'"
    ) == [(4,)]
    at_work.run("DELETE FROM feature_usage_archive WHERE feature = 'team_users'")


def test_the_refresh_of_cron_runs_while_others_read_and_write(at_work: ScratchDatabase) -> None:
    with at_work.connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM feature_usage_summary")
        run_without_error(at_work, "refresh-cron")


def test_the_repair_of_threads_leaves_every_count_exact(at_work: ScratchDatabase) -> None:
    drift(at_work, "UPDATE chat_threads SET thread_messages_count = 99 WHERE id % 50 = 0")
    run_without_error(at_work, "repair-threads")
    assert (
        at_work.rows(
            "SELECT id FROM chat_threads AS t WHERE thread_messages_count <> message_count"
            " OR message_count <> (SELECT count(*) FROM chat_messages WHERE thread_id = t.id)"
        )
        == []
    )


def test_the_repair_of_itineraries_leaves_every_count_exact(at_work: ScratchDatabase) -> None:
    drift(at_work, "UPDATE travel_itineraries SET destinations_count = 99 WHERE id % 5 = 0")
    run_without_error(at_work, "repair-itineraries")
    assert (
        at_work.rows(
            "SELECT id FROM travel_itineraries"
            " WHERE destinations_count <> jsonb_array_length(data -> 'waypoints')"
        )
        == []
    )


def test_the_function_is_listed_once(at_work: ScratchDatabase) -> None:
    [row] = run_without_error(at_work, "function-exists")
    assert row[:3] == ["public", "increment_feature_usage_safe", "integer"]


def test_the_guides_query_of_index_usage_names_columns_that_the_view_does_not_have(
    at_work: ScratchDatabase,
) -> None:
    assert run_block(at_work, "index-usage").errors == ["42703"]


def test_the_index_is_rebuilt_while_others_write(at_work: ScratchDatabase) -> None:
    run_without_error(at_work, "reindex")


def test_the_guides_rollback_is_refused_and_everything_works_on(at_work: ScratchDatabase) -> None:
    said = run_block(at_work, "rollback")
    assert said.errors[0] == "2BP01", said.text
    assert at_work.rows(
        "SELECT count(*) FROM pg_attribute WHERE NOT attisdropped AND attname IN"
        " ('thread_messages_count', 'destinations_count')"
        " AND attrelid IN ('chat_threads'::regclass, 'travel_itineraries'::regclass)"
    ) == [(2,)]
    assert run_without_error(at_work, "accuracy-threads") == [["0"]]


@pytest.mark.parametrize("name", ["accuracy-itineraries", "drift-monitor", "repair-itineraries"])
def test_malformed_waypoints_stop_the_guides_expression_and_not_ours(
    name: str, deployed: ScratchDatabase
) -> None:
    assert run_block(deployed, name).errors == ["22023"]
    assert "audit of travel_itineraries.destinations_count: 7 rows, 0 mismatches" in run_files(
        deployed, FORWARD[0]
    )
