"""How the counters are, at a glance and for Prometheus."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from prometheus_client.parser import text_string_to_metric_families
from psycopg.sql import Identifier

from sentinel.counters import declared_counters, inspect_health, status
from sentinel.counters.exposition import expose_status
from sentinel.counters.models import CounterAudit
from sentinel.counters.registry import counter_triggers
from sentinel.counters.status import (
    Figure,
    StatusLine,
    StatusReport,
    Updates,
    add_status_line,
    report_status,
)
from tests.dashboards.jobs import add_audit
from tests.rows import execute

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

NOW = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)
COUNTERS = declared_counters()
NAMES = [counter.name for counter in COUNTERS]
THREADS = "chat_threads.thread_messages_count"


def record(counter: str, *, at: datetime = NIGHT, rows_in_drift: int = 0) -> None:
    add_audit(counter=counter, at=at, rows_in_drift=rows_in_drift)


@pytest.fixture
def audited(db: None) -> None:
    """Every counter was audited in the night."""
    for name in NAMES:
        record(name)


def of(report: StatusReport, counter: str = THREADS) -> status.CounterStatus:
    [found] = [line for line in report.counters if line.counter == counter]
    return found


def run(*arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what it printed."""
    out = StringIO()
    try:
        call_command("counter_status", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """What Prometheus would read, by name and labels, which are in alphabetical order."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_that_were_audited_in_time_are_ok(audited: None) -> None:
    report = report_status(now=NOW)
    assert report.ok
    assert [line.counter for line in report.counters] == NAMES
    assert {line.age for line in report.counters} == {timedelta(hours=3)}
    assert report.oldest_age == timedelta(hours=3)


@pytest.mark.django_db
def test_a_counter_that_was_never_audited_is_overdue() -> None:
    for name in NAMES:
        if name != THREADS:
            record(name)
    report = report_status(now=NOW)
    assert [line.counter for line in report.counters if line.overdue] == [THREADS]
    assert (of(report).last_audit, of(report).age, report.oldest_age) == (None, None, None)
    assert not report.ok


@pytest.mark.parametrize(("hours", "overdue"), [(26, False), (26.01, True)])
def test_an_audit_of_the_night_may_be_two_hours_late(
    audited: None, hours: float, *, overdue: bool
) -> None:
    report = report_status(now=NIGHT + timedelta(hours=hours))
    assert {line.overdue for line in report.counters} == {overdue}
    assert report.ok is not overdue


def test_the_oldest_audit_is_told(audited: None) -> None:
    CounterAudit.objects.filter(counter=THREADS).update(audited_at=NIGHT - timedelta(hours=20))
    report = report_status(now=NOW)
    assert report.oldest_age == timedelta(hours=23)


def test_only_the_last_audit_counts(audited: None) -> None:
    record(THREADS, at=NIGHT - timedelta(hours=1), rows_in_drift=5)
    assert report_status(now=NOW).ok
    record(THREADS, at=NIGHT + timedelta(hours=1), rows_in_drift=2)
    report = report_status(now=NOW)
    assert of(report).rows_in_drift == 2
    assert not report.ok


def test_a_trigger_that_was_switched_off_since_the_audit_is_not_ok(audited: None) -> None:
    execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    report = report_status(now=NOW)
    assert not report.ok
    assert len(of(report).serious_problems) == 4  # insert, update, delete, truncate


def test_a_warning_is_told_and_is_ok(audited: None) -> None:
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )
    report = report_status(now=NOW)
    assert report.ok
    assert [p.id for p in of(report).problems] == ["counters.foreign_writer"]


def test_a_trigger_that_keeps_no_counter_is_looked_after_as_well(audited: None) -> None:
    name = "pgtrigger_user_usage_on_insert_05464"
    assert name in {trigger.get_pgid(model) for model, trigger in counter_triggers()}
    execute("ALTER TABLE chat_messages DISABLE TRIGGER {name}", name=Identifier(name))
    report = report_status(now=NOW)
    assert [problem.subject for problem in report.problems] == [name]
    assert not report.ok


def test_updates_and_index_scans_are_those_of_the_server(audited: None) -> None:
    line = of(report_status(now=NOW))
    assert {index.name for index in line.indexes} == {
        "chat_threads_pkey",
        "idx_chat_threads_messages_count",
        "idx_messages_thread",
    }
    [figures] = execute(
        "SELECT coalesce(sum(n_tup_upd), 0)::int, coalesce(sum(n_tup_hot_upd), 0)::int"
        " FROM pg_stat_user_tables WHERE relname = 'chat_threads'"
    )
    assert line.updates == figures


@pytest.mark.parametrize(
    ("updates", "ratio"), [(Updates(0, 0), None), (Updates(4, 1), 0.25), (Updates(4, 4), 1.0)]
)
def test_the_ratio_of_hot_updates_is_a_share_of_all(updates: Updates, ratio: float | None) -> None:
    assert updates.hot_ratio == ratio


def test_another_app_can_add_a_line(audited: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_lines", [])
    add_status_line(
        lambda now: StatusLine(
            name="archive",
            ok=False,
            message=f"Never run before {now:%Y}.",
            figures=(Figure("sentinel_archive_rows", "Rows in the archive.", 7),),
        )
    )
    report = report_status(now=NOW)
    assert not report.ok
    assert samples(expose_status(report))["sentinel_archive_rows",] == 7
    code, text = run()
    assert code == 1
    assert "archive: NOT OK. Never run before" in text


def test_prometheus_reads_what_the_audits_found(audited: None) -> None:
    record(THREADS, at=NIGHT + timedelta(hours=1), rows_in_drift=2)
    execute("ALTER TABLE chat_messages DISABLE TRIGGER USER")
    read = samples(expose_status(report_status(now=NOW)))
    assert read["sentinel_status_ok",] == 0
    assert read["sentinel_counter_drift_rows", THREADS] == 2
    assert read["sentinel_counter_audited_rows", THREADS] == 1_000
    assert read["sentinel_counter_audit_duration_seconds", THREADS] == 0.5
    assert read["sentinel_counter_audit_timestamp_seconds", THREADS] == NIGHT.timestamp() + 3600
    assert read["sentinel_counter_problems", THREADS, "problem"] == 4
    assert read["sentinel_counter_problems", THREADS, "warning"] == 0
    scans = ("sentinel_counter_index_scans_total", THREADS, "chat_threads_pkey", "chat_threads")
    assert scans in read
    assert ("sentinel_counter_parent_hot_updates_total", THREADS) in read


@pytest.mark.django_db
def test_prometheus_takes_a_counter_that_was_never_audited_for_audited_in_1970() -> None:
    """So that the alert on an old audit is the alert on none."""
    read = samples(expose_status(report_status(now=NOW)))
    assert read["sentinel_counter_audit_timestamp_seconds", THREADS] == 0
    assert ("sentinel_counter_drift_rows", THREADS) not in read


@pytest.mark.django_db
@pytest.mark.parametrize("form", ["table", "json", "prometheus"])
def test_the_command_exits_1_where_no_audit_was_made_and_prints_all_the_same(form: str) -> None:
    code, text = run("--format", form)
    assert code == 1
    for name in NAMES:
        assert name.split(".")[1] in text


def test_the_command_exits_0_where_all_is_well(audited: None) -> None:
    CounterAudit.objects.update(audited_at=datetime.now(tz=UTC) - timedelta(hours=5))
    assert run("--max-age", "6")[0] == 0
    code, text = run("--max-age", "4")
    assert code == 1
    assert "OVERDUE" in text


def test_json_is_for_programs(audited: None) -> None:
    code, text = run("--format", "json", "--max-age", "1000000")
    document = json.loads(text)
    assert document["ok"] is True
    assert code == 0
    [line] = [line for line in document["counters"] if line["counter"] == THREADS]
    assert line["audited_at"] == NIGHT.isoformat()
    assert line["rows_in_drift"] == 0
    assert {index["name"] for index in line["indexes"]} >= {"idx_chat_threads_messages_count"}


@pytest.mark.parametrize("age", ["0", "-1", "soon", "nan", "inf"])
def test_an_age_that_is_none_is_refused(age: str) -> None:
    with pytest.raises(CommandError, match="is no number of hours above 0"):
        call_command("counter_status", f"--max-age={age}", stdout=StringIO())


def test_a_textfile_is_complete_or_not_there(scratch_database: ScratchDatabase) -> None:
    """Without a database nothing is printed, so that no old file is replaced by half a one."""
    nowhere = replace(scratch_database, server={"host": "/nowhere"})
    done = nowhere.manage("counter_status", "--format", "prometheus")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.django_db
def test_the_audit_prints_a_warning_and_exits_0() -> None:
    execute(
        "CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages"
        " FOR EACH ROW EXECUTE FUNCTION update_thread_stats()"
    )
    assert inspect_health()
    out = StringIO()
    call_command("audit_counters", counter=[THREADS], stdout=out)
    assert "warning counters.foreign_writer" in out.getvalue()
    assert "exact" in out.getvalue()
