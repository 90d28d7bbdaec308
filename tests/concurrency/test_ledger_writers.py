"""Many connections use, correct and delete at random: at the end every month is exact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest

from sentinel.counters.registry import counter_triggers
from tests.concurrency.ledger_writers import ADD_USER, LedgerWriter, write_usage_at_random
from tests.concurrency.test_imports_at_once import wait_for_waiting_transaction
from tests.concurrency.writers import connect
from tests.ledger import assert_exact, sql
from usage.models import FeatureUsage

if TYPE_CHECKING:
    from collections import Counter as Tally

pytestmark = pytest.mark.usefixtures("committed")

CONNECTIONS = 8


def write(operations: tuple[str, ...], *, seed: int, each: int = 200) -> Tally[str]:
    done = write_usage_at_random(
        seed=seed, operations=operations, connections=CONNECTIONS, each=each
    )
    missing = [name for name in operations if not done[name]]
    assert not missing, f"the run never did {missing}: {done}"
    return done


def test_random_writers_of_usage_leave_no_drift(seed: int) -> None:
    done = write(LedgerWriter.ALL, seed=seed)
    assert_exact()
    assert sql("SELECT count(*) > 0 FROM feature_usage WHERE usage_count > 0") == [(True,)], done


def test_single_statements_over_many_months_never_deadlock(seed: int) -> None:
    """Each creates and locks the months in the order of their keys."""
    done = write(LedgerWriter.SINGLE, seed=seed)
    assert done["deadlock"] == 0, done
    assert_exact()


def test_one_key_used_at_the_same_time_for_two_features_counts_once() -> None:
    """The second waits for the first at the key, each with a month of its own locked."""
    admit: LiteralString = (
        "SELECT admitted, duplicate, used_after, event_id"
        " FROM admit_feature_usage(%s, %s, 1, 5, 'request 1')"
    )
    with connect() as one, connect() as other, ThreadPoolExecutor(1) as pool:
        [(user,)] = one.execute(ADD_USER).fetchall()
        with one.transaction():
            [first] = one.execute(admit, [user, "map_export"]).fetchall()
            waiting = pool.submit(other.execute, admit, [user, "api_access"])
            wait_for_waiting_transaction(one)
        [second] = waiting.result().fetchall()
    assert first[:3] == (True, False, 1)
    assert second == (True, True, 0, first[3])
    assert sql("SELECT feature, usage_count FROM feature_usage WHERE usage_count > 0") == [
        ("map_export", 1)
    ]
    assert_exact()


def test_events_and_the_deletion_of_their_user_leave_nothing_behind() -> None:
    """What is appended while the user is being deleted finds no user any more."""
    append: LiteralString = (
        "INSERT INTO feature_usage_events (user_id, feature)"
        " SELECT %s, unnest(ARRAY['map_export', 'api_access'])"
    )
    with connect() as one, connect() as other, ThreadPoolExecutor(1) as pool:
        [(user,)] = one.execute(ADD_USER).fetchall()
        one.execute(append, [user])
        with one.transaction():
            one.execute("DELETE FROM users WHERE id = %s", [user])
            waiting = pool.submit(other.execute, append, [user])
            wait_for_waiting_transaction(one)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            waiting.result()
    assert sql("SELECT count(*) FROM feature_usage_events") == [(0,)]
    assert_exact()


def test_a_month_that_is_deleted_while_events_are_appended_begins_anew() -> None:
    append: LiteralString = (
        "INSERT INTO feature_usage_events (user_id, feature, quantity)"
        " SELECT %s, unnest(ARRAY['map_export', 'api_access']), %s"
    )
    with connect() as one, connect() as other, ThreadPoolExecutor(1) as pool:
        [(user,)] = one.execute(ADD_USER).fetchall()
        one.execute(append, [user, 5])
        with one.transaction():
            one.execute("DELETE FROM feature_usage WHERE feature = 'api_access'")
            waiting = pool.submit(other.execute, append, [user, 2])
            wait_for_waiting_transaction(one)
        waiting.result()
    assert sql("SELECT feature, usage_count FROM feature_usage ORDER BY feature") == [
        ("api_access", 2),
        ("map_export", 7),
    ]
    assert_exact()


def test_without_the_adopting_trigger_the_same_writers_leave_drift(seed: int) -> None:
    """Shows that the tests above can fail."""
    [adopting] = [
        trigger
        for model, trigger in counter_triggers()
        if model is FeatureUsage and trigger.name == "usage_count_adopt_update"
    ]
    adopting.uninstall(FeatureUsage)
    try:
        write(("upsert",), seed=seed, each=20)
        with pytest.raises(AssertionError, match="rows_in_drift"):
            assert_exact()
    finally:
        adopting.install(FeatureUsage)
