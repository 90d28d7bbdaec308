"""What an import of usage events counts, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sentinel.counters import audit_counters, find_counters
from sentinel.imports import loading
from tests.import_files import (
    import_usage_events,
    query,
    run,
    usage_event,
    without,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db

MONTHS = (
    "SELECT u.email, m.feature, m.period_start::text, m.usage_count FROM feature_usage m"
    " JOIN users u ON u.id = m.user_id ORDER BY 1, 2, 3"
)
EVENTS = "SELECT idempotency_key, quantity, source, adopted FROM feature_usage_events ORDER BY id"


def assert_exact() -> None:
    [report] = audit_counters(find_counters(["feature_usage.usage_count"]))
    assert report.exact, report


def test_events_are_summed_by_user_feature_and_month_in_utc(tmp_path: Path) -> None:
    moments = ["2026-03-01T00:00:00Z", "2026-03-01T08:59:59+09:00", "2026-02-28 23:59:59.9-10:00"]
    path = write(
        tmp_path / "in.jsonl",
        *(
            usage_event(number, user="a@example.org", quantity=number + 1, occurred_at=moment)
            for number, moment in enumerate(moments)
        ),
    )
    assert import_usage_events(path).code == 0
    assert query(MONTHS) == [
        ("a@example.org", "map_export", "2026-02-01", 2),
        ("a@example.org", "map_export", "2026-03-01", 4),
    ]
    assert query(EVENTS) == [(f"request {n}", n + 1, "import", False) for n in range(3)]
    assert_exact()


def test_importing_twice_counts_once(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", *(usage_event(n) for n in range(5)))
    import_usage_events(path)
    before = query(MONTHS)
    again = import_usage_events(path)
    assert (again.code, again.figures["events_added"]) == (0, 0)
    assert again.figures["events_already_there"] == 5
    assert query(MONTHS) == before


@pytest.mark.parametrize("batch", [1, 5_000])
def test_of_two_events_with_one_key_the_first_counts(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BATCH_RECORDS", batch)
    path = write(tmp_path / "in.jsonl", usage_event(quantity=2), usage_event(quantity=7))
    done = import_usage_events(path)
    assert (done.figures["events_added"], done.figures["events_already_there"]) == (1, 1)
    assert query(MONTHS) == [("traveller1@example.org", "map_export", "2026-03-01", 2)]


def test_one_user_in_two_ways_of_writing_has_one_ledger(tmp_path: Path) -> None:
    users = ["a@Example.ORG", "a@example.org"]
    path = write(tmp_path / "in.jsonl", *(usage_event(user=user) for user in users))
    done = import_usage_events(path)
    assert (done.figures["events_added"], done.figures["users_added"]) == (1, 1)
    assert query(MONTHS) == [("a@example.org", "map_export", "2026-03-01", 1)]


def test_one_key_of_two_users_is_two_events(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", usage_event(1, key="1"), usage_event(2, key="1"))
    assert import_usage_events(path).figures["events_added"] == 2


def test_a_key_that_the_ledger_has_is_not_counted_again(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", usage_event())
    import_usage_events(path)
    [(user,)] = query("SELECT id FROM users")
    query(
        f"SELECT admit_feature_usage({user}, 'map_export', 1, NULL, 'request 2',"
        " occurred_at => '2026-03-02Z')"
    )
    done = import_usage_events(
        write(tmp_path / "in.jsonl", usage_event(2, user="traveller1@example.org", quantity=9))
    )
    assert done.figures["events_already_there"] == 1
    assert query(MONTHS) == [("traveller1@example.org", "map_export", "2026-03-01", 2)]


def test_a_key_whose_event_is_archived_is_not_counted_again(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.jsonl", usage_event(1), usage_event(2, user="traveller1@example.org")
    )
    import_usage_events(path)
    query(
        "INSERT INTO feature_usage_archived_keys (user_id, idempotency_key, event_id)"
        " SELECT user_id, idempotency_key, id FROM feature_usage_events"
        " WHERE idempotency_key = 'request 1' RETURNING 1"
    )
    query("DELETE FROM feature_usage RETURNING 1")
    assert import_usage_events(path).figures["events_already_there"] == 1
    assert query(EVENTS) == [("request 2", 1, "import", False)]
    assert_exact()


def test_a_dry_run_counts_nothing(tmp_path: Path) -> None:
    done = import_usage_events(write(tmp_path / "in.jsonl", usage_event()), "--dry-run")
    assert done.figures["events_added"] == 1
    assert (query(MONTHS), query(EVENTS)) == ([], [])


def test_an_import_leaves_the_lifetime_of_an_account_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", usage_event(feature="chat_messages_monthly"))
    assert import_usage_events(path).code == 0
    assert query("SELECT lifetime_chat_messages FROM users") == [(0,)]


@pytest.mark.parametrize("quantity", [1, 2**31 - 1, 2.0])
def test_a_whole_number_is_a_quantity_however_it_is_written(
    quantity: float, tmp_path: Path
) -> None:
    assert (
        import_usage_events(write(tmp_path / "in.jsonl", usage_event(quantity=quantity))).code == 0
    )
    assert [quantity for _, quantity, *_ in query(EVENTS)] == [quantity]


def at(moment: str) -> dict[str, Any]:
    return usage_event(occurred_at=moment)


BAD_EVENTS = [
    *((without(usage_event(), name), f'no field "{name}"') for name in usage_event()),
    *((usage_event() | {name: []}, f'"{name}" is a list instead of') for name in usage_event()),
    (usage_event(key=""), '"key" is empty'),
    (usage_event(key="x" * 201), '"key" is too long: 201 characters, 200 fit'),
    (usage_event(user="nobody"), "\"user\" is no email address: 'nobody'"),
    (usage_event(feature="map_exports"), "Did you mean 'map_export'"),
    (usage_event(feature=""), "No feature is called ''"),
    (usage_event(quantity=0), '"quantity" is 0: give a whole number of 1 or more'),
    (usage_event(quantity=-1), '"quantity" is -1: give a whole number of 1 or more'),
    (usage_event(quantity=1.5), '"quantity" is 1.5: give a whole number'),
    (usage_event(quantity=2**31), "give a whole number of 1 or more, 2,147,483,647 at most"),
    (usage_event(quantity=True), '"quantity" is a boolean instead of a number'),
    (usage_event(quantity="1"), '"quantity" is text instead of a number'),
    (at("2026-03-15T12:00:00"), "has no offset, and so may lie in two months"),
    (at("2026-03-15"), "has no offset, and so may lie in two months"),
    (at("yesterday"), "\"occurred_at\" is no ISO 8601 time with an offset: 'yesterday'"),
    (at("2026-W11-7T12:00:00Z"), "is no ISO 8601 time with an offset"),
    (at("2026-03-15T12:00:00+16:00"), "is no ISO 8601 time with an offset"),
    (at("٢٠٢٦-03-15T12:00:00Z"), "is no ISO 8601 time with an offset"),
    (at("2026-02-29T12:00:00Z"), "is no time: '2026-02-29T12:00:00Z', day is out of range"),
    (at("2026-03-15T25:00:00Z"), "is no time"),
    (at("0215-05-17T10:05:03Z"), "is '0215-05-17T10:05:03Z': the years 2000 to 2099 are read"),
    (at("2100-01-01T00:00:00Z"), "the years 2000 to 2099 are read"),
]


@pytest.mark.parametrize(
    ("record", "reason"), BAD_EVENTS, ids=[str(n) for n in range(len(BAD_EVENTS))]
)
def test_what_is_no_event_ends_the_import_and_counts_nothing(
    record: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "in.jsonl", usage_event(1), record, usage_event(3))
    done = import_usage_events(path)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{path}, line 2: ")
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert (query(MONTHS), query(EVENTS)) == ([], [])


def test_wrong_lines_can_be_skipped_and_are_kept_with_their_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", usage_event(1), usage_event(2, quantity=0))
    done = import_usage_events(path, "--skip-invalid")
    assert (done.code, done.figures["events_added"], done.figures["lines_rejected"]) == (1, 1, 1)
    assert "a whole number of 1 or more" in (tmp_path / "in.jsonl.rejected.jsonl").read_text()


def test_a_sum_beyond_its_column_ends_the_import(tmp_path: Path) -> None:
    events = [usage_event(n, user="a@example.org", quantity=2**31 - 1) for n in range(2)]
    done = import_usage_events(write(tmp_path / "in.jsonl", *events))
    assert done.code == 2
    assert "lines 1 to 2: the database refused a record: " in done.err
    assert "out of range" in done.err


def test_the_summary_says_what_was_added(tmp_path: Path) -> None:
    done = run("import_usage_events", write(tmp_path / "in.jsonl", usage_event()))
    assert "events added 1 events already there 0 users added 1" in " ".join(done.out.split())
