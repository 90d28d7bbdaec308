"""Bad input: one clear line, exit 2, nothing half-written."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from sentinel.imports import source
from tests.import_files import (
    Run,
    conversation,
    encode,
    import_itineraries,
    import_threads,
    itinerary,
    stored_rows,
    without,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db

NOBODY = 65534  # the account without rights, on every Unix
NESTED = b"[" * 600 + b"]" * 600
VERY_NESTED = b"[" * 200_000 + b"]" * 200_000


def message(**fields: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": "Hello"} | fields]


BAD_LINES = {
    b"{": "not JSON: Expecting property name enclosed in double quotes at column 2",
    b'{"id": "1"} {"id": "2"}': "not JSON: Extra data at column 13",
    b"[1]": "a list instead of a JSON object",
    b"null": "null instead of a JSON object",
    b'"text"': "text instead of a JSON object",
    b"7": "a number instead of a JSON object",
    b'{"title": "caf\xe9"}': "not UTF-8: byte 0xe9 at position 15",
    b'{"title": "a\x00b"}': "holds a NUL character, which PostgreSQL cannot store",
    b'{"extra": NaN}': "not JSON: NaN is no number there",
    b'{"extra": -Infinity}': "not JSON: -Infinity is no number there",
    b'{"extra": 1e131072}': "the number 1e131072… has more digits than PostgreSQL can store",
    b'{"extra": 1e-16384}': "the number 1e-16384… has more digits than PostgreSQL can store",
    b'{"extra": 1e99999999999999999999}': "has more digits than PostgreSQL can store",
    b'{"extra": ' + b"9" * 131_073 + b"}": "has more digits than PostgreSQL can store",
    b'{"extra": ' + NESTED + b"}": "nested more than 500 levels deep",
    VERY_NESTED: "nested more than 500 levels deep",
}

BAD_CONVERSATIONS = [
    *((without(conversation(), name), f'no field "{name}"') for name in conversation()),
    *((conversation() | {name: 7}, f'"{name}" is a number instead of') for name in conversation()),
    (conversation(id=" "), '"id" is empty'),
    (conversation(id=True), '"id" is a boolean instead of text'),
    (conversation(user=""), "\"user\" is no email address: ''"),
    (conversation(user="no\x1b[1mbody"), "\"user\" is no email address: 'no\\x1b[1mbody'"),
    (conversation(title=""), '"title" is empty'),
    (conversation(title="x" * 256), '"title" is too long: 256 characters, 255 fit'),
    (conversation(topic=None), '"topic" is null instead of text'),
    (conversation(messages={}), '"messages" is an object instead of a list'),
    (conversation(messages=["hello"]), '"messages[0]" is text instead of an object'),
    (conversation(messages=message(role="bot")), "\"messages[0].role\" is the unknown role 'bot'"),
    (conversation(messages=[*message(), {"role": "user"}]), 'no field "messages[1].content"'),
    (conversation(messages=[{"content": "x"}]), 'no field "messages[0].role"'),
    (conversation(messages=message(content=None)), '"messages[0].content" is null instead of'),
    (conversation(messages=message(content="a\0b")), "messages[0].content holds a NUL character"),
    (conversation(title="a\ud800b"), "title holds half of a surrogate pair (\\ud800)"),
    (conversation(title="\udc00\ud800"), "title holds half of a surrogate pair (\\udc00)"),
    (conversation(id="a\0b"), "id holds a NUL character"),
    (conversation(extra={"deep": [{"a\0": 1}]}), "a key of extra.deep[0] holds a NUL character"),
]

BAD_ITINERARIES = [
    *((without(itinerary(), name), f'no field "{name}"') for name in itinerary()),
    *((itinerary() | {name: []}, f'"{name}" is a list instead of') for name in itinerary()),
    (itinerary(title="x" * 256), '"title" is too long: 256 characters, 255 fit'),
    (itinerary(data={}), 'no field "data.waypoints"'),
    (itinerary(data={"waypoints": None}), '"data.waypoints" is null instead of a list'),
    (itinerary(data={"waypoints": {"0": 1}}), '"data.waypoints" is an object instead of a list'),
    (itinerary(data={"waypoints": "Rome"}), '"data.waypoints" is text instead of a list'),
    (
        itinerary(data={"waypoints": [{"name": "a\0"}]}),
        "data.waypoints[0].name holds a NUL character",
    ),
]


def assert_refused(done: Run, path: Path, *, line: int, reason: str) -> None:
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"{path}, line {line}: ")
    assert reason in done.err
    assert done.err.count("\n") == 1
    assert len(done.err) < 400


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES.items(), ids=[str(n) for n in range(len(BAD_LINES))]
)
def test_a_line_that_is_no_record_ends_the_import(line: bytes, reason: str, tmp_path: Path) -> None:
    before = stored_rows()
    path = write(tmp_path / "in.jsonl", conversation(), b"", line, conversation(2))
    assert_refused(import_threads(path), path, line=3, reason=reason)
    assert stored_rows() == before


@pytest.mark.parametrize(("record", "reason"), BAD_CONVERSATIONS)
def test_a_wrong_conversation_ends_the_import(
    record: dict[str, object], reason: str, tmp_path: Path
) -> None:
    before = stored_rows()
    path = write(tmp_path / "in.jsonl", conversation(), record, conversation(2))
    assert_refused(import_threads(path), path, line=2, reason=reason)
    assert stored_rows() == before


@pytest.mark.parametrize(("record", "reason"), BAD_ITINERARIES)
def test_a_wrong_itinerary_ends_the_import(
    record: dict[str, object], reason: str, tmp_path: Path
) -> None:
    before = stored_rows()
    path = write(tmp_path / "in.jsonl.gz", itinerary(), record, itinerary(2))
    assert_refused(import_itineraries(path), path, line=2, reason=reason)
    assert stored_rows() == before


@pytest.mark.parametrize(
    "value",
    [b"1e131071", b"1e-16383", b"9" * 131_072, b'"\\\\u0000"', b'"\\ud83d\\ude00"', b"-0"],
)
def test_the_largest_that_fits_is_imported(value: bytes, tmp_path: Path) -> None:
    line = json.dumps(itinerary(data={"waypoints": [], "extra": "VALUE"})).encode()
    path = write(tmp_path / "in.jsonl", line.replace(b'"VALUE"', value))
    assert import_itineraries(path).code == 0


def test_the_deepest_that_fits_is_imported(tmp_path: Path) -> None:
    nested = json.loads("[" * 498 + "]" * 498)
    path = write(tmp_path / "in.jsonl", itinerary(data={"waypoints": [], "extra": nested}))
    assert import_itineraries(path).code == 0


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["middle", "end"])
def test_a_line_without_end_is_not_read_into_memory(
    newline: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LONGEST_LINE", 1000)
    monkeypatch.setattr(source, "MIB", 100)
    path = tmp_path / "in.jsonl"
    path.write_bytes(encode(conversation(1)) + b"x" * 2345 + newline)
    assert_refused(import_threads(path), path, line=2, reason="longer than 16 MiB")


def test_what_follows_a_line_without_end_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LONGEST_LINE", 1000)
    monkeypatch.setattr(source, "MIB", 100)
    path = write(tmp_path / "in.jsonl", b"x" * 2345, b"y" * 1000, conversation())
    done = import_threads(path, "--skip-invalid")
    assert (done.figures["threads_added"], done.figures["lines_rejected"]) == (1, 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(encode(conversation()), mtime=0)[:-9], "the file is truncated"),
        (gzip.compress(encode(conversation()), mtime=0)[:5], "the file is truncated"),
        (gzip.compress(encode(conversation()), mtime=0)[:1], "the gzip data is damaged"),
        (b"", "the file is truncated"),
        (gzip.compress(encode(conversation()), mtime=0) + b"garbage", "the gzip data is damaged"),
        (b"\x1fgarbage", "the gzip data is damaged"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage", "the gzip data is damaged"),
        (encode(conversation()), "this is no gzip file"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--skip-invalid"]], ids=["strict", "skip"])
def test_a_damaged_gzip_file_is_refused_whole(
    content: bytes, reason: str, options: list[str], tmp_path: Path
) -> None:
    before = stored_rows()
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(content)
    done = import_threads(path, *options)
    assert done.code == 2
    assert done.err.startswith(f"{path}, line ")
    assert reason in done.err
    assert stored_rows() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = import_threads(tmp_path / "absent.jsonl")
    assert done.code == 2
    assert done.err == f"{tmp_path}/absent.jsonl: cannot be read: No such file or directory.\n"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    done = import_threads(tmp_path)
    assert (done.code, done.err) == (2, f"{tmp_path}: cannot be read: Is a directory.\n")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", conversation())
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # who may read everything, and so reads as somebody else for a moment
        os.seteuid(NOBODY)
    try:
        done = import_threads(path)
    finally:
        if root:
            os.seteuid(0)
    assert done.err == f"{path}: cannot be read: Permission denied.\n"


def test_what_the_database_refuses_ends_the_import(tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE chat_messages ADD CHECK (content <> 'forbidden')")
    before = stored_rows()
    bad = conversation(3, messages=message(content="forbidden"))
    path = write(tmp_path / "in.jsonl", b"", conversation(1), conversation(2), bad)
    done = import_threads(path)
    assert done.code == 2
    assert done.err.startswith(f"{path}, lines 2 to 4: the database refused a record: ")
    assert stored_rows() == before
