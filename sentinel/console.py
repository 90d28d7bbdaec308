"""What all management commands have in common: exit codes, examples, formats."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from django.core.management.base import (
    BaseCommand,
    CommandError,
    DjangoHelpFormatter,
    OutputWrapper,
)
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.core.management.base import CommandParser

FOUND_SOMETHING = 1
COULD_NOT_RUN = 2
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C has ended
SECONDS_OF_A_DAY = 86_400
WIDE = 10_000  # columns; wider than any table of ours


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, DjangoHelpFormatter):  # both only format
    """Keeps the lines of the examples as they are written."""


class _PatientOutput(OutputWrapper):
    """Goes on when nobody reads any more: the exit code still says what was found."""

    def write(  # type: ignore[override]  # Django's signature, which is no stream's
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        """See `OutputWrapper.write`."""
        try:
            super().write(msg, style_func, ending)
            self.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            with suppress(OSError):  # a stream of a test has no descriptor
                os.dup2(nowhere, self.fileno())


class ConsoleCommand(BaseCommand):
    """A command that ends with 0 (fine), 1 (found something) or 2 (could not run).

    A subclass writes `run`, which returns the exit code; results go to stdout, everything else to
    stderr. An error of `expected_errors` and of the database ends in one line and 2.

    Attributes:
        examples: command lines for `--help`, one below the other.
        expected_errors: exceptions whose message tells the user what to do.
        when_interrupted: what Ctrl-C leaves behind, in a sentence.
    """

    examples = ""
    when_interrupted = "Nothing was changed."
    expected_errors: tuple[type[Exception], ...] = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        """See `BaseCommand.create_parser`."""
        epilog = (
            f"examples:\n{self.examples}\nexit codes: 0 fine, 1 found something, 2 could not run"
        )
        options.setdefault("formatter_class", _HelpFormatter)
        options.setdefault("epilog", epilog)
        return super().create_parser(prog_name, subcommand, **options)

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """See `BaseCommand.handle`."""
        self.stdout = _PatientOutput(cast("TextIO", self.stdout._out))
        try:
            code = self.run(**options)
        except KeyboardInterrupt:
            message = f"interrupted. {self.when_interrupted}"
            raise CommandError(message, returncode=INTERRUPTED) from None
        except self.expected_errors as error:
            self.give_up(str(error))
        except DatabaseError as error:
            self.give_up(f"database: {str(error).strip().splitlines()[0]}")
        if code:
            raise SystemExit(code)

    def run(self, **options: Any) -> int:
        """Do the work and return the exit code."""
        raise NotImplementedError

    def give_up(self, message: str) -> NoReturn:
        """End with one line on stderr and exit code 2."""
        raise CommandError(message, returncode=COULD_NOT_RUN) from None


def natural_number(text: str) -> int:
    """Parse an option that counts something: a whole number, 0 or more."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return number


def positive_number(text: str) -> int:
    """Parse an option that counts something of which there is at least one."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 1 or more")
    return number


def seconds(text: str) -> float:
    """Parse an option that is a time: seconds, 0 or more, up to a day."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= SECONDS_OF_A_DAY:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 to a day")
    return number


def print_table(
    out: OutputWrapper, header: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Print rows in columns below their headers: numbers to the right, text to the left."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(header):
        numeric = all(isinstance(row[index], int) for row in rows)
        table.add_column(title, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        table.add_row(*(Text(cell) for cell in cells))
    # A narrow terminal wraps a long line; a cut figure would be a wrong one.
    console = Console(width=WIDE, color_system=None)
    with console.capture() as printed:
        console.print(table)
    out.write("\n".join(line.rstrip() for line in printed.get().splitlines()))
