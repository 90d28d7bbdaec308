"""Archived months go to files and come back: by the commands, on a real database."""

from __future__ import annotations

import json
from datetime import date
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from psycopg.sql import Literal

from tests.archiving import (
    BEFORE,
    LEDGER,
    NOW,
    TOTALS,
    archive,
    assert_exact,
    live_months,
    run_archive,
    use,
    use_for_a_year,
)
from tests.import_files import write
from tests.rows import execute, new_user
from tests.usage_reports import refuse
from usage.archiving.erasing import erase_usage, find_usage
from usage.archiving.export_file import ExportError
from usage.archiving.restoring import restore_month
from usage.archiving.run import ArchiveError, lock_archive

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["archive"]
pytestmark = pytest.mark.usefixtures("archive")

JANUARY = date(2020, 1, 1)
ARCHIVED = "SELECT DISTINCT to_char(period_start, 'YYYY-MM') FROM feature_usage_archive ORDER BY 1"
OLD = ["2019-10", "2019-11", "2019-12", "2020-01", "2020-02"]


def manage(*arguments: Any) -> str:
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def manifests(folder: Path, month: date = JANUARY) -> list[Path]:
    return sorted(folder.glob(f"feature_usage_{month}_run*.json"))


def tricky_events(user: int) -> None:
    """What is hard to write into a file and to read back."""
    texts = [
        "",
        " ",
        "\\N",
        "\\.",
        'a "quoted" text',
        "two\nlines",
        "comma, semicolon;",
        "Zürich 東京",
    ]
    for number, text in enumerate(texts):
        execute(
            "INSERT INTO feature_usage_events"
            " (user_id, feature, occurred_at, idempotency_key, reason, source)"
            " VALUES ({user}, 'map_export', '2020-01-15 12:00:00.123456+05:30', {key}, {text}, '')",
            user=Literal(user),
            key=Literal(f"{number}{text}"),
            text=Literal(text),
        )


def use_in_every_way() -> None:
    users = use_for_a_year()
    tricky_events(users[0])
    use(users[1], "2020-01-20", quantity=-1)
    execute(
        "INSERT INTO feature_usage (user_id, feature, usage_count, period_start, period_end)"
        " VALUES (NULL, 'map_export', 5, '2020-01-01', '2020-01-31')"
    )
    execute("SELECT increment_feature_usage_safe(min(id), 'test', 2) FROM users")
    execute(  # adopted, as the existing application writes it
        "UPDATE feature_usage SET usage_count = usage_count + 3 WHERE period_start = '2020-01-01'"
        " AND user_id = (SELECT min(id) FROM users)"
    )


def test_a_month_comes_back_from_the_archive_exactly() -> None:
    use_in_every_way()
    before = execute(LEDGER)
    run_archive()
    for month in OLD:
        restore_month(date.fromisoformat(f"{month}-01"))
    assert execute(LEDGER) == before
    assert execute(ARCHIVED) == []
    assert_exact()


def test_a_month_comes_back_from_its_file_exactly(tmp_path: Path) -> None:
    use_in_every_way()
    before = execute(LEDGER)
    run_archive(export_to=tmp_path, delete_exported=True)
    assert execute(ARCHIVED) == []
    for month in OLD:
        day = date.fromisoformat(f"{month}-01")
        restore_month(day, manifests=manifests(tmp_path, day))
    assert execute(LEDGER) == before
    assert_exact()


def test_a_late_part_is_added_to_what_comes_back() -> None:
    user = new_user()
    use(user, "2020-01-15", quantity=3)
    run_archive()
    use(user, "2020-01-20", quantity=2)
    before = execute(TOTALS)
    restore_month(JANUARY)
    assert execute("SELECT usage_count FROM feature_usage") == [(5,)]
    assert execute(TOTALS) == before
    assert_exact()


def test_a_month_of_two_files_comes_back_whole(tmp_path: Path) -> None:
    user = new_user()
    use(user, "2020-01-15", quantity=3)
    run_archive(export_to=tmp_path, delete_exported=True)
    use(user, "2020-01-20", quantity=2)
    run_archive(export_to=tmp_path, delete_exported=True)
    assert len(manifests(tmp_path)) == 2
    restore_month(JANUARY, manifests=manifests(tmp_path))
    assert execute("SELECT usage_count FROM feature_usage") == [(5,)]
    assert_exact()


def test_what_is_there_already_does_not_come_back_twice(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    run_archive(export_to=tmp_path)
    before = execute(TOTALS)
    with pytest.raises(ExportError, match="6 of its records are in the archive"):
        restore_month(JANUARY, manifests=manifests(tmp_path))
    restore_month(JANUARY)
    with pytest.raises(ExportError, match="6 of its records are in the archive or in the ledger"):
        restore_month(JANUARY, manifests=manifests(tmp_path))
    assert execute(TOTALS) == before


def test_a_file_of_another_month_is_refused(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    run_archive(export_to=tmp_path)
    with pytest.raises(ExportError, match="is of 2020-01-01, not of 2020-02-01"):
        restore_month(date(2020, 2, 1), manifests=manifests(tmp_path))


def test_what_is_not_in_the_archive_cannot_come_back() -> None:
    with pytest.raises(ArchiveError, match="nothing of 2020-01 is in the archive"):
        restore_month(JANUARY)


def test_rows_of_users_who_are_gone_stay_in_the_archive() -> None:
    gone, stays = new_user(), new_user()
    for user in (gone, stays):
        use(user, "2020-01-15", key="k")
    run_archive()
    execute(f"DELETE FROM users WHERE id = {gone}")
    report = restore_month(JANUARY)
    assert (report.totals.rows, report.totals.events, report.rows_left) == (1, 1, 1)
    assert execute("SELECT user_id FROM feature_usage_archive") == [(gone,)]
    assert execute("SELECT user_id FROM feature_usage_archived_keys") == [(gone,)]
    assert_exact()


def test_months_that_were_exported_are_not_written_again(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    assert [month.written for month in run_archive(export_to=tmp_path).exported] == [True] * 5
    assert [month.written for month in run_archive(export_to=tmp_path).exported] == [False] * 5


def test_a_file_that_was_damaged_is_written_again(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    run_archive(export_to=tmp_path)
    [path] = manifests(tmp_path)
    path.with_suffix(".csv.gz").write_bytes(b"rot")
    assert sum(month.written for month in run_archive(export_to=tmp_path).exported) == 1


def test_months_that_the_summary_reads_stay_in_the_archive(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    run_archive(before=date(2020, 8, 1), export_to=tmp_path, delete_exported=True)
    assert execute(ARCHIVED) == [("2020-06",), ("2020-07",)]


def test_an_export_that_fails_keeps_the_months_in_the_archive_and_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_for_a_year(users=1)
    before = execute(TOTALS)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("usage.archiving.export_file.os.fsync", full)
    with pytest.raises(ExportError, match="No space left on device"):
        run_archive(export_to=tmp_path, delete_exported=True)
    assert list(tmp_path.iterdir()) == []
    assert execute(TOTALS) == before
    assert execute("SELECT state FROM feature_usage_archive_runs") == [("failed",)]


def test_an_export_to_nowhere_moves_nothing(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    with pytest.raises(ExportError, match="no such folder"):
        run_archive(export_to=tmp_path / "missing")
    assert execute("SELECT FROM feature_usage_archive") == []


def test_a_key_stays_used_when_its_event_was_exported_and_removed(tmp_path: Path) -> None:
    user = new_user()
    first = use(user, "2020-01-15", key="k")
    run_archive(export_to=tmp_path, delete_exported=True)
    assert execute(f"SELECT find_usage_event({user}, 'k')") == [(first,)]


def test_an_import_does_not_count_an_archived_key_again(tmp_path: Path) -> None:
    [user] = use_for_a_year(users=1)
    [(email,)] = execute(f"SELECT email FROM users WHERE id = {user}")
    use(user, "2020-01-15", key="k")
    run_archive()
    before = execute(TOTALS)
    record = {
        "key": "k",
        "user": email,
        "feature": "map_export",
        "quantity": 1,
        "occurred_at": "2020-01-15T12:00:00+00:00",
    }
    manage("import_usage_events", write(tmp_path / "events.jsonl", record))
    assert execute(TOTALS) == before


def test_a_person_s_usage_is_erased_wherever_it_is() -> None:
    person, other = use_for_a_year(users=2)
    for user in (person, other):
        refuse(user, day="2020-01-01")
    run_archive()
    others = f"SELECT count(*), sum(usage_count) FROM {{}} WHERE user_id = {other}"
    before = [execute(others.format(t)) for t in ("feature_usage", "feature_usage_archive")]
    found = find_usage(person)
    assert (found.rows, found.events, found.archived_rows, found.archived_events, found.keys) == (
        (14, 28, 10, 20, 20)
    )
    assert found.refusals == 1
    execute(f"DELETE FROM users WHERE id = {person}")
    erased = erase_usage(person)
    assert (erased.rows, erased.archived_rows, erased.keys) == (0, 10, 20)
    assert find_usage(person).nothing
    assert execute("SELECT user_id FROM feature_usage_refusals") == [(other,)]
    assert [execute(others.format(t)) for t in ("feature_usage", "feature_usage_archive")] == before
    assert_exact()


# ------------------------------------------------------------------------------------- commands


def test_the_command_archives_and_says_so_and_says_when_there_is_nothing_to_do() -> None:
    use_for_a_year()
    assert "2019-10     6" in manage("archive_feature_usage", "--before", BEFORE, "--dry-run")
    assert live_months()[0] == "2019-10"
    text = manage("archive_feature_usage", "--before", BEFORE, "--refresh")
    assert "archived 30 rows with 60 events in 5 batches" in text
    assert "Nothing to archive" in manage("archive_feature_usage", "--before", BEFORE)


def test_the_command_writes_json(tmp_path: Path) -> None:
    use_for_a_year(users=1)
    arguments = ("archive_feature_usage", "--before", BEFORE, "--format", "json")
    assert len(json.loads(manage(*arguments, "--dry-run"))["months"]) == 5
    document = json.loads(manage(*arguments, "--export", tmp_path, "--delete-exported"))
    assert (document["rows"], document["events"]) == (10, 20)
    assert document["exported"][0]["month"] == "2019-10-01"
    [manifest] = manifests(tmp_path)
    restored = json.loads(
        manage("restore_feature_usage", JANUARY, "--from", manifest, "--format", "json")
    )
    assert (restored["rows"], restored["events"]) == (2, 4)
    assert json.loads(manage("erase_user_usage", "1", "--format", "json"))["rows"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("archive_feature_usage", "--months", "0"), "--months 0"),
        (("archive_feature_usage", "--before", f"{NOW.year + 900}-01-01"), "is not over"),
        (("archive_feature_usage", "--delete-exported"), "give --export"),
        (("restore_feature_usage", "2020-01-01"), "nothing of 2020-01"),
        (("restore_feature_usage", "2020-01-01", "--from", "/no/such.json"), "No such file"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said) as error:
        manage(*arguments)
    assert error.value.returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [("archive_feature_usage",), ("restore_feature_usage", JANUARY), ("erase_user_usage", 1)],
)
def test_whoever_comes_second_exits_with_2(arguments: tuple[Any, ...]) -> None:
    with lock_archive(), pytest.raises(CommandError, match="Wait for it to end") as error:
        manage(*arguments)
    assert error.value.returncode == 2


def test_the_commands_say_what_they_have_restored_and_erased() -> None:
    [user] = use_for_a_year(users=1)
    run_archive()
    text = manage("restore_feature_usage", JANUARY)
    assert text == "2020-01 is back: 2 rows with 4 uses, 4 events.\n"
    assert "A dry run" in manage("erase_user_usage", user, "--dry-run")
    assert "archive     8" in manage("erase_user_usage", user)
    assert "Nothing is known" in manage("erase_user_usage", user)
