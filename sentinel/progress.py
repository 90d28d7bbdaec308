"""Tells whoever waits how far something has come: a bar on a terminal, or a line now and then."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.console import Console
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

    from django.core.management.base import OutputWrapper

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_FRAMES = 0.1


class Progress:
    """Says nothing, and is what the others have in common.

    Args:
        total: how much there is to do, where it is known from the beginning.
        seconds_between: how long to be silent after something was said.
    """

    def __init__(
        self, *, total: float | None = None, seconds_between: float = float("inf")
    ) -> None:
        self._seconds_between = seconds_between
        self.begin(total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what `__enter__` began."""

    def begin(self, *, total: float | None) -> None:
        """Take note of how much there is to do, and that it begins now."""
        self._total = total
        self._started = self._said = monotonic()

    def advance(self, number: int, *, position: float | None = None) -> None:
        """Take note of how far it has come, and show it if it is time.

        Args:
            number: how many of what is counted are done.
            position: how much of the total that is, where the total counts something else.
        """
        now = monotonic()
        if now - self._said >= self._seconds_between:
            self._said = now
            self.show(number, position=number if position is None else position)

    def note(self, text: str) -> None:
        """Show a line at once."""

    def show(self, number: int, *, position: float) -> None:
        """Show how far it has come. See `advance`."""

    def rate(self, number: int) -> float:
        """How many were done in a second, on the average."""
        return number / max(monotonic() - self._started, 0.001)


class ProgressLines(Progress):
    """Writes a line every few seconds, for logs.

    Args:
        name: what is being done.
        unit: what is counted, such as `records`.
        write: takes a line, without its end.
        total: a share and the time left are told where it is known.
        seconds_between: how often.
    """

    def __init__(
        self,
        *,
        name: str,
        unit: str,
        write: Callable[[str], object],
        total: float | None = None,
        seconds_between: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        super().__init__(total=total, seconds_between=seconds_between)
        self._name = name
        self._unit = unit
        self._write = write

    def note(self, text: str) -> None:
        """See `Progress.note`. Nobody who has stopped reading ends the work."""
        with suppress(BrokenPipeError):
            self._write(text)

    def show(self, number: int, *, position: float) -> None:
        """See `Progress.show`."""
        text = f"{self._name}: {number:,} {self._unit}, {self.rate(number):,.0f} a second"
        if self._total:
            share = position / self._total
            passed = monotonic() - self._started
            left = passed / share - passed if share else 0.0
            text += f", {share:.0%}, about {left:,.0f} s left"
        self.note(text)


class ProgressBar(Progress):
    """Draws a bar on a terminal, and leaves no trace of it.

    Args:
        name: what is being done.
        unit: what is counted.
        console: the terminal.
        total: how much there is to do, where it is known from the beginning.
    """

    def __init__(
        self, *, name: str, unit: str, console: Console, total: float | None = None
    ) -> None:
        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[number]:,} " + unit + ", {task.fields[rate]:,.0f} a second"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task(name, total=total, number=0, rate=0.0)
        super().__init__(total=total, seconds_between=SECONDS_BETWEEN_FRAMES)

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

    def begin(self, *, total: float | None) -> None:
        """See `Progress.begin`."""
        super().begin(total=total)
        self._bar.reset(self._task, total=total)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._bar.console.print(text, markup=False, highlight=False)

    def show(self, number: int, *, position: float) -> None:
        """See `Progress.show`."""
        self._bar.update(self._task, completed=position, number=number, rate=self.rate(number))


def open_progress(
    err: OutputWrapper, *, name: str, unit: str, total: float | None = None
) -> Progress:
    """Return a bar where `err` is a terminal, lines where it is anything else."""
    if err.isatty():
        return ProgressBar(name=name, unit=unit, console=Console(stderr=True), total=total)
    return ProgressLines(name=name, unit=unit, write=err.write, total=total)
