"""Files of archived months: what is written is read back, and what is wrong is said."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from usage.archiving.export_file import (
    ExportError,
    Manifest,
    Totals,
    manifest_path,
    read_manifest,
    write_export,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MONTH = date(2020, 1, 1)
NOW = datetime(2020, 9, 1, tzinfo=UTC)
HEADER = b"record,id,usage_count,quantity,reason\n"
CSV = HEADER + b'month,1,5,,\nevent,7,,3,"two\nlines"\nevent,8,,2,\n'
TOTALS = Totals(rows=1, uses=5, events=2, quantity=5)


def write(folder: Path, *, blocks: Any = (CSV[:20], CSV[20:]), totals: Totals = TOTALS) -> Manifest:
    return write_export(blocks, folder=folder, month=MONTH, run=7, totals=totals, now=NOW)


def test_a_file_is_written_with_a_manifest_that_tells_what_is_in_it(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "feature_usage_2020-01-01_run7.csv.gz",
        "feature_usage_2020-01-01_run7.json",
    ]
    assert gzip.decompress((tmp_path / manifest.file).read_bytes()) == CSV
    assert read_manifest(manifest_path(tmp_path, month=MONTH, run=7)) == manifest
    assert manifest.totals == TOTALS


@pytest.mark.parametrize(
    "totals",
    [Totals(2, 5, 2, 5), Totals(1, 6, 2, 5), Totals(1, 5, 3, 5), Totals(1, 5, 2, 6)],
)
def test_a_file_that_does_not_hold_what_the_archive_does_is_not_kept(
    tmp_path: Path, totals: Totals
) -> None:
    with pytest.raises(ExportError, match="read back"):
        write(tmp_path, totals=totals)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing_with_a_final_name(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield CSV
        raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match="No space left on device"):
        write(tmp_path, blocks=blocks())
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_over_what_a_killed_run_has_left(tmp_path: Path) -> None:
    (tmp_path / ".feature_usage_2020-01-01_run7.csv.gz.part").write_bytes(b"half")
    (tmp_path / "feature_usage_2020-01-01_run7.csv.gz").write_bytes(b"of before")
    write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def altered(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        path = manifest_path(folder, month=MONTH, run=7)
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return alter


def file_of(folder: Path) -> Path:
    return folder / "feature_usage_2020-01-01_run7.csv.gz"


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda folder: file_of(folder).unlink(), "No such file"),
        (lambda folder: file_of(folder).write_bytes(b""), "altered or damaged"),
        (
            lambda folder: file_of(folder).write_bytes(file_of(folder).read_bytes()[:-9]),
            "altered or damaged",
        ),
        (lambda folder: file_of(folder).write_bytes(gzip.compress(CSV[:-12])), "altered"),
        (altered(lambda document: document.update(events=3)), "holds .*events=2.* says .*events=3"),
        (altered(lambda document: document.update(version=2)), "version 2"),
        (altered(lambda document: document.update(file="../elsewhere")), "elsewhere"),
        (altered(lambda document: document.pop("sha256")), "no manifest"),
        (altered(lambda document: document.update(month="January")), "no manifest"),
        (lambda folder: manifest_path(folder, month=MONTH, run=7).write_text("{"), "no manifest"),
        (lambda folder: manifest_path(folder, month=MONTH, run=7).unlink(), "No such file"),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says_is_refused(
    tmp_path: Path, tamper: Callable[[Path], None], said: str
) -> None:
    write(tmp_path)
    tamper(tmp_path)
    with pytest.raises(ExportError, match=said):
        read_manifest(manifest_path(tmp_path, month=MONTH, run=7))


@pytest.mark.parametrize(
    "text", [b"", HEADER + b"event,7,,three,\n", b"no,such,columns\n1,2,3\n", b"\xff\xfe"]
)
def test_a_file_that_is_no_month_cannot_be_read_back(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ExportError):
        write(tmp_path, blocks=[text])
