"""What `repair_counters` takes, prints and ends with."""

from __future__ import annotations

import json
import sys
from io import BytesIO, StringIO, TextIOWrapper
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import CommandError, call_command
from psycopg.sql import Identifier

from sentinel.counters import declared_counters
from tests.rows import execute, insert, new_user

if TYPE_CHECKING:
    from pathlib import Path

THREADS = "chat_threads.thread_messages_count"
ITINERARIES = "travel_itineraries.destinations_count"

pytestmark = pytest.mark.django_db


def run(*arguments: str, command: str = "repair_counters") -> tuple[int, str]:
    """Run a command, and return its exit code and what it printed."""
    out = StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def refused(*arguments: str) -> str:
    """Run a command that cannot run, and return the line that says why."""
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 2
    assert "\n" not in str(error.value)
    assert execute("SELECT FROM counter_repairs") == []
    return str(error.value)


@pytest.fixture
def threads() -> list[int]:
    """Three threads without messages that say 9."""
    user = new_user()
    threads = [
        insert("chat_threads", {"user_id": user, "title": "Bern"}, returning="id") for _ in range(3)
    ]
    execute("SET LOCAL session_replication_role = replica")
    execute("UPDATE chat_threads SET thread_messages_count = 9, message_count = NULL")
    execute("SET LOCAL session_replication_role = origin")
    return threads


def stored() -> list[int]:
    return [n for (n,) in execute("SELECT thread_messages_count FROM chat_threads ORDER BY id")]


def audit_document(*arguments: str) -> str:
    return run("--format", "json", *arguments, command="audit_counters")[1]


def test_it_prints_a_line_for_each_counter_and_a_summary(threads: list[int]) -> None:
    code, printed = run()
    assert (code, stored()) == (0, [0, 0, 0])
    [line] = [line for line in printed.splitlines() if line.startswith(THREADS)]
    assert line.split()[1:5] == ["3", "3", "0", "0"]
    assert line.split()[-1] == "repaired"
    assert "3 rows repaired in 1 batch" in printed
    assert all(counter.name in printed for counter in declared_counters())


def test_nothing_wrong_is_exit_code_0_and_no_batch() -> None:
    code, printed = run()
    assert code == 0
    assert printed.count("nothing in drift") == len(declared_counters())
    assert "0 rows repaired in 0 batches" in printed


def test_it_prints_json(threads: list[int]) -> None:
    code, printed = run("--counter", THREADS, "--format", "json")
    document = json.loads(printed)
    assert code == 0
    assert (document["complete"], document["batches"]) == (True, 1)
    [counter] = document["counters"]
    assert (counter["counter"], counter["rows_found"], counter["rows_repaired"]) == (THREADS, 3, 3)
    assert counter["skipped"] == counter["problems"] == []


def test_a_dry_run_shows_what_is_wrong_writes_nothing_and_exits_1(threads: list[int]) -> None:
    code, printed = run("--dry-run")
    assert (code, stored()) == (1, [9, 9, 9])
    rows = [line.split() for line in printed.splitlines() if "message_count=NULL" in line]
    assert rows == [[THREADS, str(key), "9", "0", "message_count=NULL"] for key in threads]
    assert "nothing was written" in printed
    document = json.loads(run("--dry-run", "--format", "json")[1])
    assert document["dry_run"] is True


def test_a_dry_run_that_finds_nothing_exits_0() -> None:
    assert run("--dry-run")[0] == 0


def test_keys_choose_the_rows(threads: list[int]) -> None:
    first, second, _ = map(str, threads)
    assert run("--counter", THREADS, "--key", first, "--key", second, "--key", first)[0] == 0
    assert stored() == [0, 0, 9]


def test_batches_that_are_left_are_exit_code_1(threads: list[int]) -> None:
    code, printed = run("--batch-size", "2", "--max-batches", "1", "--pause", "0")
    assert (code, stored()) == (1, [0, 0, 9])
    assert "INCOMPLETE" in printed
    assert "It can be run again" in printed


def test_a_trigger_that_is_off_is_exit_code_2_with_its_cure(threads: list[int]) -> None:
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    [(name,)] = execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE '%messages_count_on_del%'")
    execute("ALTER TABLE chat_messages DISABLE TRIGGER {name}", name=Identifier(name))
    for arguments in ((), ("--dry-run",)):
        code, printed = run(*arguments)
        assert (code, stored()) == (2, [9, 9, 9])
        assert "counters.trigger_disabled" in printed
        assert "ENABLE TRIGGER" in printed


# ------------------------------------------------------------------------------------ --from-json


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pipe(text: str | bytes) -> None:
        content = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content), encoding="utf-8"))

    return pipe


def test_what_an_audit_listed_is_repaired_from_a_file(threads: list[int], tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text(audit_document(), encoding="utf-8")
    assert run("--from-json", str(path))[0] == 0
    assert stored() == [0, 0, 0]


def test_what_an_audit_listed_is_repaired_from_a_pipe(threads: list[int], piped: Any) -> None:
    piped(audit_document())
    assert run("--from-json", "-", "--counter", THREADS)[0] == 0
    assert stored() == [0, 0, 0]


def test_rows_that_the_audit_counted_and_did_not_list_are_left_and_exit_code_1(
    threads: list[int], piped: Any
) -> None:
    piped(audit_document("--sample", "2"))
    code, printed = run("--from-json", "-")
    assert code == 1
    assert sorted(stored()) == [0, 0, 9]
    assert "1 row" in printed
    assert "--sample" in printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input is empty: the audit has printed nothing"),
        ("{", "standard input is no JSON"),
        (b"\xff\xfe", "standard input cannot be read"),
        ("[]", "is not what `audit_counters --format json` prints"),
        ("7", "is not what `audit_counters --format json` prints"),
        ('{"counters": [{"counter": "x"}]}', "is not what `audit_counters --format json` prints"),
        (
            '{"counters": [{"counter": "a.b", "rows_in_drift": 1, "sample": [{"key": 1}]}]}',
            "No counter is called 'a.b'",
        ),
        (
            f'{{"counters": [{{"counter": "{THREADS}", "rows_in_drift": 1,'
            ' "sample": [{"key": null}]}]}',
            "null is no key",
        ),
        (
            f'{{"counters": [{{"counter": "{THREADS}", "rows_in_drift": 1,'
            ' "sample": [{"key": "seven"}]}]}',
            'invalid input syntax for type integer: "seven"',
        ),
        (
            f'{{"counters": [{{"counter": "{THREADS}", "rows_in_drift": 1,'
            ' "sample": [{"key": "\\ud800"}]}]}',
            "no key of chat_threads",
        ),
    ],
)
def test_what_is_no_audit_is_refused_in_one_line(
    threads: list[int], piped: Any, text: str | bytes, message: str
) -> None:
    piped(text)
    assert message in refused("--from-json", "-")
    assert stored() == [9, 9, 9]


def test_a_file_that_is_not_there_is_refused_in_one_line() -> None:
    assert refused("--from-json", "/nowhere.json") == (
        "/nowhere.json cannot be read: No such file or directory."
    )


def test_a_counter_that_the_audit_does_not_hold_is_refused(piped: Any) -> None:
    piped(audit_document("--counter", THREADS))
    message = refused("--from-json", "-", "--counter", ITINERARIES)
    assert message == f"standard input holds no audit of {ITINERARIES}."


# ------------------------------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--key", "1"), "--key needs exactly one --counter"),
        (("--counter", THREADS, "--counter", ITINERARIES, "--key", "1"), "exactly one --counter"),
        (
            ("--counter", THREADS, "--key", "999999"),
            "chat_threads has no row with the key '999999'",
        ),
        (
            ("--counter", THREADS, "--key", "seven"),
            'invalid input syntax for type integer: "seven"',
        ),
        (("--counter", THREADS, "--key", "9" * 30), "out of range"),
        (("--counter", THREADS, "--key", "\udcff"), "no key of chat_threads"),
        (("--counter", THREADS, "--key", "1", "--from-json", "-"), "give one of them"),
        (("--counter", "chat_threads.messages"), "There are: "),
        (("--batch-size", "0"), "'0' is not a whole number, 1 or more"),
        (("--batch-size", "many"), "'many' is not a whole number, 1 or more"),
        (("--max-batches", "0"), "'0' is not a whole number, 1 or more"),
        (("--pause", "-1"), "'-1' is not a number of seconds"),
        (("--pause", "nan"), "'nan' is not a number of seconds"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    threads: list[int], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert stored() == [9, 9, 9]
