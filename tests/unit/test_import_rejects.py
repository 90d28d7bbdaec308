"""With --skip-invalid wrong lines go to a file, and the rest is imported."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest

from tests.import_files import conversation, encode, import_threads, write

pytestmark = pytest.mark.django_db

WRONG = conversation(2, messages=[{"role": "bot", "content": "Hello"}])


def test_rejected_lines_go_to_a_file_with_number_and_reason(tmp_path: Path) -> None:
    path = write(
        tmp_path / "in.jsonl",
        conversation(1),
        WRONG,
        b'{"title": "caf\xe9"}',
        conversation(3),
    )
    done = import_threads(path, "--skip-invalid")
    assert done.code == 1
    assert done.figures["threads_added"] == 2
    assert done.figures["lines_rejected"] == 2
    assert done.figures["rejected_file"] == f"{path}.rejected.jsonl"
    rejected = Path(f"{path}.rejected.jsonl")
    first, second = map(json.loads, rejected.read_text(encoding="utf-8").splitlines())
    assert first["line"] == 2
    assert "unknown role 'bot'" in first["reason"]
    assert json.loads(first["raw"]) == WRONG
    assert second == {
        "line": 3,
        "reason": "not UTF-8: byte 0xe9 at position 15",
        "raw": '{"title": "caf\ufffd"}',
        "truncated": False,
    }
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == [path, rejected]


def test_a_long_rejected_line_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", "é" * 100_000)
    import_threads(path, "--skip-invalid")
    [entry] = Path(f"{path}.rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(entry)["truncated"] is True
    assert len(json.loads(entry)["raw"]) == 65_536


def test_a_run_without_rejected_lines_removes_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.jsonl"
    path = write(tmp_path / "in.jsonl", b"{")
    assert import_threads(path, "--skip-invalid", "--rejected", rejected).code == 1
    assert rejected.exists()
    write(path, conversation())
    done = import_threads(path, "--skip-invalid", "--rejected", rejected)
    assert (done.code, done.figures["rejected_file"]) == (0, None)
    assert not rejected.exists()


def test_a_failed_import_leaves_the_rejected_file_of_an_earlier_one(tmp_path: Path) -> None:
    rejected = write(tmp_path / "rejected.jsonl", b"earlier")
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(encode(b"{"), mtime=0)[:-1])
    assert import_threads(path, "--skip-invalid", "--rejected", rejected).code == 2
    assert rejected.read_bytes() == b"earlier\n"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("in.jsonl", "is the file that is imported"),
        ("folder", "is no regular file"),
        ("/dev/null", "is no regular file"),
        ("absent/rejected.jsonl", "cannot be written: No such file or directory"),
    ],
)
def test_a_place_where_no_rejected_file_can_be_is_refused(
    place: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    path = write(tmp_path / "in.jsonl", conversation())
    done = import_threads(path, "--skip-invalid", "--rejected", tmp_path / place)
    assert done.code == 2
    assert done.err == (f"{tmp_path / place}: {reason}. Name another place with --rejected.\n")
    assert path.read_bytes() == encode(conversation())


def test_a_rejected_file_needs_that_lines_may_be_skipped(tmp_path: Path) -> None:
    done = import_threads(tmp_path / "in.jsonl", "--rejected", tmp_path / "rejected.jsonl")
    assert (done.code, "--rejected needs --skip-invalid" in done.err) == (2, True)
