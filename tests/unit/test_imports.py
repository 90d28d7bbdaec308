"""What an import puts into the database, and what it leaves alone."""

from __future__ import annotations

import gzip
import io
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from sentinel.counters import audit_counters, declared_counters
from sentinel.imports import loading
from tests.import_files import (
    conversation,
    encode,
    import_itineraries,
    import_threads,
    itinerary,
    query,
    run,
    stored_rows,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db


def assert_counters_exact() -> None:
    reports = list(audit_counters(declared_counters()))
    assert all(report.exact for report in reports), reports


def feed_standard_input(monkeypatch: pytest.MonkeyPatch, raw: io.RawIOBase) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(raw)))


class Bytes(io.RawIOBase):
    """A pipe: bytes that come once, then what `at_end` does."""

    def __init__(self, content: bytes, at_end: signal.Signals | None = None) -> None:
        self.content = io.BytesIO(content)
        self.at_end = at_end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self.content.readinto(buffer)
        if not count and self.at_end:
            signal.raise_signal(self.at_end)
        return count


def test_a_conversation_becomes_a_thread_of_its_user(tmp_path: Path) -> None:
    done = import_threads(write(tmp_path / "in.jsonl", conversation()))
    assert done.code == 0
    assert query(
        "SELECT u.email, t.title, t.investigation_topic, t.thread_messages_count, t.message_count"
        " FROM chat_threads t JOIN users u ON u.id = t.user_id"
    ) == [("traveller1@example.org", "A table for two", "restaurants", 2, 2)]
    assert_counters_exact()


def test_messages_keep_their_order(tmp_path: Path) -> None:
    said = [
        [{"role": "system", "content": f"{thread}.{n}"} for n in range(40)] for thread in range(3)
    ]
    records = [conversation(n, messages=messages) for n, messages in enumerate(said)]
    import_threads(write(tmp_path / "in.jsonl", *records))
    contents = [content for (content,) in query("SELECT content FROM chat_messages ORDER BY id")]
    assert contents == [message["content"] for messages in said for message in messages]


def test_an_itinerary_is_stored_to_the_last_digit(tmp_path: Path) -> None:
    data = (
        b'{"waypoints": [{"name": "\\u00e9\\ud83d\\ude00", "at": 1.00000000000000000000000001}, 7],'
        b' "big": 123456789012345678901234567890, "same": 1, "same": 2, "tiny": 1.5e-3}'
    )
    line = b'{"id": "1", "user": "a@example.org", "title": "x", "data": ' + data + b"}"
    assert import_itineraries(write(tmp_path / "in.jsonl", line)).code == 0
    assert query(
        f"SELECT data = '{data.decode()}'::jsonb, destinations_count FROM travel_itineraries"
    ) == [(True, 2)]
    assert_counters_exact()


@pytest.mark.parametrize("command", ["import_threads", "import_itineraries"])
def test_importing_twice_adds_nothing(command: str, tmp_path: Path) -> None:
    make = conversation if command == "import_threads" else itinerary
    path = write(tmp_path / "in.jsonl", *(make(n) for n in range(5)))
    assert run(command, path).code == 0
    before = stored_rows()
    again = run(command, path, "--format", "json")
    assert again.code == 0
    rows = command.removeprefix("import_")
    assert again.figures[f"{rows}_added"] == again.figures["users_added"] == 0
    assert again.figures[f"{rows}_already_there"] == 5
    assert stored_rows() == before


def test_a_thread_and_an_itinerary_of_one_id_are_two_things(tmp_path: Path) -> None:
    import_threads(write(tmp_path / "threads.jsonl", conversation(id="1")))
    done = import_itineraries(write(tmp_path / "itineraries.jsonl", itinerary(id="1")))
    assert done.figures["itineraries_added"] == 1


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", conversation())
    import_threads(path)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chat_threads SET title = 'Mine', is_deleted = true")
        cursor.execute("DELETE FROM chat_messages WHERE role = 'user'")
        cursor.execute("UPDATE users SET email = 'moved@example.org'")
    before = stored_rows()
    assert import_threads(path).figures["threads_already_there"] == 1
    assert stored_rows() == before
    assert query("SELECT title, is_deleted, message_count FROM chat_threads") == [("Mine", True, 1)]


@pytest.mark.parametrize("batch", [1, 5_000])
def test_of_two_records_with_one_id_the_first_counts(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BATCH_RECORDS", batch)
    path = write(tmp_path / "in.jsonl", conversation(title="First"), conversation(title="Second"))
    done = import_threads(path)
    assert (done.figures["threads_added"], done.figures["threads_already_there"]) == (1, 1)
    assert done.figures["messages_added"] == 2
    assert query("SELECT title FROM chat_threads") == [("First",)]


@pytest.mark.parametrize("setting", ["BATCH_RECORDS", "BATCH_CHARACTERS"])
def test_many_batches_are_one_import(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, setting, 3)
    path = write(tmp_path / "in.jsonl", *(conversation(n) for n in range(10)))
    assert import_threads(path).figures["messages_added"] == 20
    assert_counters_exact()


def test_a_conversation_may_have_no_messages(tmp_path: Path) -> None:
    done = import_threads(write(tmp_path / "in.jsonl", conversation(messages=[])))
    assert (done.code, done.figures["threads_added"], done.figures["messages_added"]) == (0, 1, 0)


def test_an_added_user_cannot_log_in_and_has_the_plan_of_the_database(tmp_path: Path) -> None:
    import_threads(write(tmp_path / "in.jsonl", conversation(user="New@Example.ORG")))
    assert query("SELECT email, password_hash, plan FROM users") == [
        ("New@example.org", "", "FREE")
    ]


@pytest.mark.parametrize("known", ["Known@Example.ORG", "Known@example.org"])
def test_a_user_who_is_there_is_found_under_either_way_of_writing(
    known: str, tmp_path: Path
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO users (email, password_hash) VALUES (%s, 'secret')", [known])
    done = import_threads(write(tmp_path / "in.jsonl", conversation(user="Known@Example.ORG")))
    assert done.figures["users_added"] == 0
    assert query("SELECT email, password_hash FROM users") == [(known, "secret")]


def test_a_counter_in_a_record_is_ignored(tmp_path: Path) -> None:
    record = conversation(message_count=99, thread_messages_count=99)
    import_threads(write(tmp_path / "in.jsonl", record))
    assert query("SELECT message_count, thread_messages_count FROM chat_threads") == [(2, 2)]


def test_a_dry_run_says_what_it_would_add_and_adds_nothing(tmp_path: Path) -> None:
    before = stored_rows()
    done = import_threads(write(tmp_path / "in.jsonl", conversation()), "--dry-run")
    assert done.code == 0
    assert done.figures | {"seconds": 0} == {
        "records_read": 1,
        "threads_added": 1,
        "threads_already_there": 0,
        "messages_added": 2,
        "users_added": 1,
        "lines_rejected": 0,
        "rejected_file": None,
        "dry_run": True,
        "seconds": 0,
    }
    assert stored_rows() == before


def test_the_summary_is_readable(tmp_path: Path) -> None:
    done = run("import_threads", write(tmp_path / "in.jsonl", conversation()), "--dry-run")
    words = " ".join(done.out.split())
    assert "threads added 1 threads already there 0 messages added 2" in words
    assert words.endswith("A dry run: everything was rolled back.")


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_a_file_without_records_is_fine(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    done = run("import_threads", path)
    assert done.code == 0
    assert "The file holds no records." in done.out


@pytest.mark.parametrize(
    "content",
    [
        encode(conversation()),
        encode(conversation()).rstrip(),
        b"\xef\xbb\xbf" + encode(conversation()),
        b"\r\n\n  \n" + encode(conversation()).replace(b"\n", b"\r\n"),
        gzip.compress(encode(conversation()), mtime=0),
        gzip.compress(b"\n", mtime=0) + gzip.compress(encode(conversation()), mtime=0),
    ],
    ids=["plain", "no last newline", "byte order mark", "CRLF", "gzip", "gzip in parts"],
)
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_a_file_is_read_however_it_is_written(
    content: bytes, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    feed_standard_input(monkeypatch, Bytes(content))
    assert import_threads("-" if way == "pipe" else path).figures["threads_added"] == 1


def test_an_interruption_undoes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BATCH_RECORDS", 1)
    monkeypatch.chdir(tmp_path)
    content = encode(*(conversation(n) for n in range(10)))
    feed_standard_input(monkeypatch, Bytes(content, at_end=signal.SIGINT))
    before = stored_rows()
    done = import_threads("-", "--skip-invalid")
    assert done.code == 130
    assert done.err == "interrupted. Everything was rolled back. It can be run again.\n"
    assert stored_rows() == before
    assert not list(tmp_path.iterdir())


def test_the_json_summary_is_one_document(tmp_path: Path) -> None:
    done = import_itineraries(write(tmp_path / "in.jsonl", itinerary()))
    assert set(json.loads(done.out)) >= {"records_read", "itineraries_added", "users_added"}
