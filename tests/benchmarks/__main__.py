"""`make bench` and `make bench-check`. The options are in `arguments`, the rest in `program`."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext

import django

from tests.benchmarks.arguments import parse_arguments
from tests.benchmarks.servers import ServerError, debian_server

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C has ended


def main() -> int:
    """Choose the server, set Django up, and run."""
    options = parse_arguments()
    with debian_server() if options.debian else nullcontext() as address:
        if address:
            os.environ["DATABASE_URL"] = address
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
        django.setup()

        from tests.benchmarks.pgbench import PgbenchError
        from tests.benchmarks.program import run_program
        from tests.benchmarks.record import RecordError
        from tests.benchmarks.reporting import PageError

        try:
            return run_program(options)
        except (RecordError, PgbenchError, PageError) as error:
            return give_up(error)


def give_up(error: Exception) -> int:
    """Say in one line why nothing was measured."""
    print(error, file=sys.stderr)  # noqa: T201 (a program of its own)
    return 2


if __name__ == "__main__":
    try:
        code = main()
    except ServerError as error:
        code = give_up(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)
