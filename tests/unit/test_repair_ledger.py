"""A repair of a sum over a ledger: it follows the events, and adopts nothing."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from sentinel.counters import Selection, audit_counter, find_counters, repair_counters
from tests.rows import execute, literal, new_user

if TYPE_CHECKING:
    from sentinel.counters import RepairRunReport

USAGE = "feature_usage.usage_count"
MONTH = "2026-03-01"

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> int:
    """Somebody with two events of one use each."""
    user = new_user()
    execute(
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " SELECT {user}, 'map_export', '2026-03-15 12:00+00' FROM generate_series(1, 2)",
        user=literal(user),
    )
    return user


def without_triggers(statement: str) -> None:
    execute("SET LOCAL session_replication_role = replica")
    execute(statement)
    execute("SET LOCAL session_replication_role = origin")


def months() -> list[tuple[Any, ...]]:
    return execute("SELECT user_id, feature, period_start::text, usage_count FROM feature_usage")


def repair(*keys: Any) -> RepairRunReport:
    [counter] = find_counters([USAGE])
    selection = Selection(counter=counter, keys=keys or None)
    return repair_counters([selection], now=timezone.now())


@pytest.mark.parametrize("wrong", ["7", "NULL"])
def test_a_wrong_sum_becomes_true_and_nothing_is_adopted(user: int, wrong: str) -> None:
    without_triggers(f"UPDATE feature_usage SET usage_count = {wrong}")
    assert repair().rows_repaired == 1
    assert months() == [(user, "map_export", MONTH, 2)]
    assert execute("SELECT count(*) FROM feature_usage_events") == [(2,)]
    [(key, before, after)] = execute("SELECT key, before, after FROM counter_repairs")
    assert json.loads(key) == [user, "map_export", MONTH]
    assert json.loads(before) == {"usage_count": None if wrong == "NULL" else 7}
    assert json.loads(after) == {"usage_count": 2}


def test_a_row_that_its_events_have_lost_is_made_again(user: int) -> None:
    without_triggers("DELETE FROM feature_usage")
    assert repair().complete
    assert months() == [(user, "map_export", MONTH, 2)]
    assert execute("SELECT period_end::text FROM feature_usage") == [("2026-03-31",)]
    assert execute("SELECT count(*) FROM feature_usage_events") == [(2,)]


def test_a_key_is_an_array_of_the_key_columns(user: int) -> None:
    execute(
        "INSERT INTO feature_usage_events (user_id, feature, occurred_at)"
        " VALUES ({user}, 'pdf_export', '2026-03-15 12:00+00')",
        user=literal(user),
    )
    without_triggers("UPDATE feature_usage SET usage_count = 7")
    key = json.dumps([user, "map_export", MONTH])
    call_command("repair_counters", "--counter", USAGE, "--key", key, stdout=StringIO())
    [counter] = find_counters([USAGE])
    assert [drift.key for drift in audit_counter(counter).sample] == [[user, "pdf_export", MONTH]]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("7", "7 is no JSON array of user_id, feature, period_start"),
        ("[7]", "[7] is no JSON array of user_id, feature, period_start"),
        ("map", "no key of feature_usage: Expecting value"),
        ('[1, "map_export", "2026-03-01"]', "has no row with the key"),
    ],
)
def test_what_is_no_key_is_refused_in_one_line(key: str, message: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("repair_counters", "--counter", USAGE, "--key", key)
    assert error.value.returncode == 2
    assert message in str(error.value)
    assert "\n" not in str(error.value)
