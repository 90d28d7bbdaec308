"""Tells whoever waits for an import how far it has come: a bar, or a line now and then."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.console import Console

    from sentinel.imports.source import Source

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_FRAMES = 0.1


class Progress:
    """Says nothing, and is what the others have in common.

    Args:
        seconds_between: how long to be silent after something was said.
    """

    def __init__(self, *, seconds_between: float = float("inf")) -> None:
        self._seconds_between = seconds_between
        self._started = self._said = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what `__enter__` began."""

    def advance(self, records: int) -> None:
        """Take note that so many records have been read, and show it if it is time."""
        now = monotonic()
        if now - self._said >= self._seconds_between:
            self._said = now
            self.show(records, rate=records / max(now - self._started, 0.001))

    def note(self, text: str) -> None:
        """Show a line at once."""

    def show(self, records: int, *, rate: float) -> None:
        """Show how far it has come.

        Args:
            records: records read.
            rate: records a second, on the average.
        """


class ProgressLines(Progress):
    """Writes a line every few seconds, for logs.

    Args:
        source: what is imported; a share and the time left are told where its size is known.
        write: takes a line, without its end.
        seconds_between: how often.
    """

    def __init__(
        self,
        source: Source,
        write: Callable[[str], object],
        *,
        seconds_between: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        super().__init__(seconds_between=seconds_between)
        self._source = source
        self._write = write

    def note(self, text: str) -> None:
        """See `Progress.note`. Nobody who has stopped reading ends the import."""
        with suppress(BrokenPipeError):
            self._write(text)

    def show(self, records: int, *, rate: float) -> None:
        """See `Progress.show`."""
        text = f"{self._source.name}: {records:,} records, {rate:,.0f} a second"
        if self._source.size:
            share = self._source.position / self._source.size
            passed = monotonic() - self._started
            left = passed / share - passed if share else 0.0
            text += f", {share:.0%}, about {left:,.0f} s left"
        self.note(text)


class ProgressBar(Progress):
    """Draws a bar on a terminal, and leaves no trace of it."""

    def __init__(self, source: Source, console: Console) -> None:
        super().__init__(seconds_between=SECONDS_BETWEEN_FRAMES)
        self._source = source
        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[records]:,} records, {task.fields[rate]:,.0f} a second"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(source.name, total=source.size, records=0, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._bar.console.print(text, markup=False, highlight=False)

    def show(self, records: int, *, rate: float) -> None:
        """See `Progress.show`."""
        self._bar.update(self._task, completed=self._source.position, records=records, rate=rate)
