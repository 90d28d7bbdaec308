"""What whoever waits for a repair gets to see."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management.base import OutputWrapper
from rich.console import Console

from sentinel.progress import ProgressBar, ProgressLines, open_progress


def test_lines_tell_rows_rate_share_and_time_left() -> None:
    lines: list[str] = []
    progress = ProgressLines(name="repair", unit="rows", write=lines.append, seconds_between=0)
    progress.begin(total=4000)
    progress.advance(1000)
    assert re.fullmatch(r"repair: 1,000 rows, [\d,]+ a second, 25%, about [\d,]+ s left", lines[-1])


def test_a_bar_learns_late_how_much_there_is_to_do() -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=160)
    with ProgressBar(name="repair", unit="rows", console=console) as progress:
        progress.begin(total=4000)
        progress.show(1000, position=1000)
    assert "1,000 rows" in screen.getvalue()
    assert "25%" in screen.getvalue()


def test_nothing_to_do_is_no_share_of_anything() -> None:
    lines: list[str] = []
    progress = ProgressLines(name="repair", unit="rows", write=lines.append, seconds_between=0)
    progress.begin(total=0)
    progress.advance(0)
    assert lines[-1].endswith("a second")


@pytest.mark.parametrize(("terminal", "kind"), [(True, ProgressBar), (False, ProgressLines)])
def test_a_terminal_gets_a_bar_and_anything_else_lines(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, kind: type
) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert type(open_progress(OutputWrapper(stream), name="repair", unit="rows")) is kind
