"""How the demo speaks: sections, short lines, what is run, what came of it."""

from __future__ import annotations

from contextlib import contextmanager
from textwrap import indent
from time import perf_counter
from typing import TYPE_CHECKING

from django.core.management.color import no_style

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.core.management.base import OutputWrapper
    from django.core.management.color import Style

MARGIN = "  "
CODE_MARGIN = "      "


class Narrator:
    """Writes line by line, so that a reader behind a pipe is never kept waiting.

    Args:
        out: where to.
        style: the colours of a terminal; none by default.
    """

    def __init__(self, out: OutputWrapper, style: Style | None = None) -> None:
        self.out = out
        self._style = style or no_style()

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Begin a section; when it is done, tell how long it took."""
        self.head(title)
        started = perf_counter()
        yield
        self.say(f"Done in {perf_counter() - started:.1f} s.")

    def head(self, title: str) -> None:
        """Write a heading."""
        self._write(f"\n{title}", self._style.MIGRATE_HEADING)

    def step(self, text: str) -> None:
        """Say what is done next."""
        self._write(f"\n{MARGIN}> {text}")

    def say(self, text: str) -> None:
        """Say something."""
        self._write(indent(text, MARGIN))

    def show(self, code: str) -> None:
        """Show what is run."""
        self._write(indent(code, CODE_MARGIN))

    def result(self, text: str) -> None:
        """Say what came of it."""
        self._write(f"{MARGIN}= {text}", self._style.SUCCESS)

    def stress(self, text: str) -> None:
        """Say what must not be missed."""
        self._write(indent(text, MARGIN), self._style.HTTP_INFO)

    def _write(self, text: str, colour: Callable[[str], str] | None = None) -> None:
        self.out.write(text, colour)
