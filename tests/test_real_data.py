"""The real files come out with the figures that were counted without any database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentinel.counters import audit_counters, declared_counters
from tests.import_files import (
    import_itineraries,
    import_threads,
    import_usage_events,
    query,
    stored_rows,
)

DATA = Path(__file__).parents[2] / "shared" / "data"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not (DATA / "expected.json").is_file(),
        reason=f"the real data is not here: {DATA} has no expected.json",
    ),
]


def test_the_real_files_are_counted_exactly_and_import_twice_as_once() -> None:
    first = import_threads(DATA / "conversations.jsonl.gz")
    second = import_itineraries(DATA / "itineraries.jsonl.gz")
    assert (first.code, second.code) == (0, 0)
    [(threads, messages, longest)] = query(
        "SELECT count(*), sum(thread_messages_count), max(thread_messages_count) FROM chat_threads"
    )
    [(itineraries, waypoints)] = query(
        "SELECT count(*), sum(destinations_count) FROM travel_itineraries"
    )
    assert {
        "threads": threads,
        "messages": messages,
        "longest_thread": longest,
        "itineraries": itineraries,
        "waypoints": waypoints,
    } == json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
    assert all(report.exact for report in audit_counters(declared_counters()))

    before = stored_rows()
    again = import_threads(DATA / "conversations.jsonl.gz")
    assert again.figures["threads_already_there"] == threads
    again = import_itineraries(DATA / "itineraries.jsonl.gz")
    assert again.figures["itineraries_already_there"] == itineraries
    assert stored_rows() == before


def test_the_real_events_are_summed_exactly_and_import_twice_as_once() -> None:
    expected = json.loads((DATA / "expected_usage.json").read_text(encoding="utf-8"))
    path = DATA / "usage_events.jsonl.gz"
    first = import_usage_events(path)
    assert (first.code, first.figures["events_added"]) == (0, expected["events"])
    months = query("SELECT * FROM feature_usage ORDER BY id")
    assert {
        "events": query("SELECT count(*) FROM feature_usage_events")[0][0],
        "users": query("SELECT count(DISTINCT user_id) FROM feature_usage")[0][0],
        "by_feature": dict(
            query("SELECT feature, sum(usage_count) FROM feature_usage GROUP BY feature")
        ),
    } == expected
    assert all(report.exact for report in audit_counters(declared_counters()))

    again = import_usage_events(path)
    assert again.figures["events_already_there"] == expected["events"]
    assert query("SELECT * FROM feature_usage ORDER BY id") == months
