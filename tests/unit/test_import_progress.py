"""What whoever waits for an import gets to see."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from sentinel.imports import import_records, open_source
from sentinel.progress import ProgressBar, ProgressLines
from tests.import_files import conversation, write
from threads.importing import CONVERSATIONS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", *(conversation(n) for n in range(1500)))


def test_lines_tell_records_rate_share_and_time_left(path: Path) -> None:
    lines: list[str] = []
    with (
        open_source(str(path)) as source,
        ProgressLines(
            name=source.name,
            unit="records",
            write=lines.append,
            total=source.size,
            seconds_between=0,
        ) as progress,
    ):
        import_records(CONVERSATIONS, source, progress=progress)
    assert lines[-1].startswith(f"{path}: 1,500 records, ")
    assert ", 100%, about 0 s left" in lines[-1]


def test_lines_are_few(path: Path) -> None:
    lines: list[str] = []
    with (
        open_source(str(path)) as source,
        ProgressLines(name=source.name, unit="records", write=lines.append) as progress,
    ):
        import_records(CONVERSATIONS, source, progress=progress)
    assert not lines


def test_nobody_who_stops_reading_the_lines_ends_the_import(path: Path) -> None:
    def write_nowhere(_line: str) -> None:
        raise BrokenPipeError

    with (
        open_source(str(path)) as source,
        ProgressLines(
            name=source.name, unit="records", write=write_nowhere, seconds_between=0
        ) as progress,
    ):
        report = import_records(CONVERSATIONS, source, progress=progress)
    assert report.rows_added == 1500


def test_a_terminal_gets_a_bar_that_leaves_no_trace(path: Path) -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    with (
        open_source(str(path)) as source,
        ProgressBar(
            name=source.name, unit="records", console=console, total=source.size
        ) as progress,
    ):
        import_records(CONVERSATIONS, source, progress=progress)
        progress.show(1500, position=source.position)
        progress.note("A note [in brackets]")
    assert re.search(r"1,500 records, [\d,]+ a second", screen.getvalue())
    assert "100%" in screen.getvalue()
    assert "A note [in brackets]" in screen.getvalue()
