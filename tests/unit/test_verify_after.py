"""After the deployment: what is not as the guide promises is found and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.sql import SQL

from sentinel.deployment import after, criteria
from sentinel.deployment.checklists import AFTER
from sentinel.deployment.findings import State
from tests.cures import follow
from tests.deployments import deployment, thread, verify
from tests.legacy.conftest import legacy_database
from tests.rows import execute, new_user

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scratch import ScratchDatabase

__all__ = ["legacy_database"]
OK, WARNING, FAILED = State.OK, State.WARNING, State.FAILED


@pytest.mark.django_db
def test_the_newest_users_threads_are_compared_with_their_messages() -> None:
    assert after.check_counters_maintained(deployment()).state is WARNING
    thread(2)
    answer = after.check_counters_maintained(deployment())
    assert (answer.state, answer.figures) == (OK, {"threads": 1})


@pytest.mark.django_db
def test_a_wrong_count_of_the_newest_user_is_named() -> None:
    key = thread(2)
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE chat_threads SET thread_messages_count = 9")
    execute("SET LOCAL session_replication_role = origin")
    answer = after.check_counters_maintained(deployment())
    assert answer.state is FAILED
    assert f"{key} has 9, true is 2" in answer.message


@pytest.mark.django_db
def test_recent_usage_is_told_by_feature() -> None:
    assert after.check_usage_recent(deployment()).state is WARNING
    user = new_user()
    execute(f"SELECT increment_feature_usage_safe({user}, 'map_export', 2)")
    execute(f"SELECT increment_feature_usage_safe({user}, 'route_analysis', 1)")
    answer = after.check_usage_recent(deployment())
    assert answer.state is OK
    assert answer.figures["features"] == {"map_export": 1, "route_analysis": 1}


@pytest.mark.django_db
def test_the_increment_function_is_tried_and_nothing_stays() -> None:
    assert after.check_increment_function(deployment()).state is WARNING
    user = new_user()
    answer = after.check_increment_function(deployment())
    assert answer.state is OK
    assert answer.figures == {"user": user, "first": 1, "second": 2, "stays": False}
    assert execute("SELECT count(*) FROM feature_usage") == [(0,)]


@pytest.mark.django_db
def test_an_increment_function_that_does_not_count_is_found() -> None:
    new_user()
    signature = "increment_feature_usage_safe(integer, character varying, integer)"
    [(definition,)] = execute(f"SELECT pg_get_functiondef('{signature}'::regprocedure)")
    assert definition
    execute(f"DROP FUNCTION {signature}")
    assert after.check_increment_function(deployment()).state is FAILED
    execute(f"CREATE FUNCTION {signature} RETURNS integer LANGUAGE sql AS 'SELECT 7'")
    assert after.check_increment_function(deployment()).state is FAILED


@pytest.mark.django_db
def test_the_legacy_trigger_is_found_and_cured() -> None:
    assert after.check_legacy_trigger(deployment()).state is OK
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )
    answer = after.check_legacy_trigger(deployment())
    assert answer.state is FAILED
    follow(answer.cure)
    assert after.check_legacy_trigger(deployment()).state is OK


@pytest.mark.django_db
@pytest.mark.parametrize("index", after.GUIDE_INDEXES, ids=lambda index: index.name)
def test_an_index_of_the_guide_that_is_missing_or_invalid_is_found(
    index: after.GuideIndex,
) -> None:
    [(definition,)] = execute(f"SELECT pg_get_indexdef('{index.name}'::regclass)")
    assert index.check(deployment()).state in {OK, WARNING}  # by whether it was ever used
    execute(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index.name}'::regclass")
    invalid = index.check(deployment())
    assert invalid.state is FAILED
    assert f"REINDEX INDEX CONCURRENTLY {index.name}" in invalid.cure
    execute(f"DROP INDEX {index.name}")
    missing = index.check(deployment())
    assert missing.state is FAILED
    # The very cure, but for what no transaction can do: it makes the index that was there.
    execute(SQL(missing.cure.split("`")[-2].replace(" CONCURRENTLY", "")))
    assert execute(f"SELECT pg_get_indexdef('{index.name}'::regclass)") == [(definition,)]


def test_the_cures_of_an_index_work_where_they_are_to_be_run(
    scratch_database: ScratchDatabase,
) -> None:
    scratch_database.migrate()
    for index in after.GUIDE_INDEXES:
        scratch_database.run(f"DROP INDEX {index.name}")
    _, found = verify(scratch_database)
    for index in after.GUIDE_INDEXES:
        scratch_database.run(found[f"after.index.{index.name}"]["cure"].split("`")[-2])
    _, found = verify(scratch_database)
    for index in after.GUIDE_INDEXES:
        assert found[f"after.index.{index.name}"]["state"] == WARNING  # not used yet


@pytest.mark.django_db
def test_every_counter_is_audited() -> None:
    thread(2)
    assert criteria.check_accuracy(deployment()).state is OK
    execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    execute("DELETE FROM chat_messages")
    answer = criteria.check_accuracy(deployment())
    assert answer.state is FAILED
    assert answer.figures["in_drift"] == {"chat_threads.thread_messages_count": 1}
    assert "counters.trigger_disabled" in answer.figures["problems"]


@pytest.mark.django_db
@pytest.mark.parametrize(("features", "state"), [(0, WARNING), (1, WARNING), (2, OK)])
def test_usage_of_several_features_is_asked_for(features: int, state: State) -> None:
    user = new_user()
    for feature in ("map_export", "route_analysis")[:features]:
        execute(f"SELECT increment_feature_usage_safe({user}, '{feature}', 3)")
    assert criteria.check_features(deployment()).state is state


def test_the_log_is_searched_where_it_is_on_this_machine(tmp_path: Path) -> None:
    log = tmp_path / "sentinel-api.log"
    assert criteria.check_logs(deployment(log_file=log)).state is WARNING
    log.write_text("all is well\n")
    assert criteria.check_logs(deployment(log_file=log)).state is OK
    log.write_bytes(b"\xff\nERROR Failed to track feature usage: x\n" * 3)
    answer = criteria.check_logs(deployment(log_file=log))
    assert (answer.state, answer.figures) == (WARNING, {"lines": 3})


@pytest.mark.django_db
def test_reading_is_compared_with_counting() -> None:
    assert criteria.check_performance(deployment()).state is WARNING
    thread(3)
    answer = criteria.check_performance(deployment())
    assert answer.state in {OK, WARNING}  # a busy machine may take a millisecond
    assert "chat_threads.thread_messages_count (largest)" in answer.figures
    execute("DROP INDEX idx_messages_thread")
    assert criteria.check_performance(deployment()).state is FAILED


def test_a_database_that_was_not_migrated_is_told_what_to_do(
    legacy_database: ScratchDatabase,
) -> None:
    code, found = verify(legacy_database, "--after")
    assert code == 1
    for name in ("criteria.migrations", "criteria.accuracy", "after.counters_maintained"):
        assert found[name]["state"] == FAILED
        assert "manage.py migrate" in found[name]["cure"]
    assert found["after.increment_function"]["cure"] == "Run `manage.py migrate usage`."


def test_a_migrated_database_fails_in_nothing(legacy_database: ScratchDatabase) -> None:
    legacy_database.migrate()
    code, found = verify(legacy_database)
    assert code == 0
    assert list(found) == [check.id for check in AFTER]
    assert found["after.increment_function"]["state"] == OK
    assert found["criteria.migrations"]["state"] == OK
