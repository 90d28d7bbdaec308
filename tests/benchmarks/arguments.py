"""What `python -m tests.benchmarks` is asked for. Imports nothing of Django: it is set up later."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks.scenarios import SCENARIOS
from tests.benchmarks.sizes import FULL, QUICK

RECORD = Path(__file__).parents[2] / "docs" / "benchmarks.json"
EXAMPLES = """\
examples:
  python -m tests.benchmarks --quick
  python -m tests.benchmarks --only inserts writers
  python -m tests.benchmarks --debian --full --write
  DATABASE_URL=postgresql://me@127.0.0.1:5432/postgres python -m tests.benchmarks

exit codes: 0 fine, 1 a ratio got worse or a number of ours was wrong, 2 could not run"""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for; those of this process where none are given."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure what counting costs, against what a user would do instead, in a "
        "database of its own: on the embedded PostgreSQL or the server of DATABASE_URL.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = parser.add_mutually_exclusive_group()
    for name, help_ in (
        (FULL.name, "the sizes of the table: an hour, instead of minutes"),
        (QUICK.name, "a hundredth of them, to try the harness"),
    ):
        sizes.add_argument(f"--{name}", dest="sizes", action="store_const", const=name, help=help_)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SCENARIOS,
        default=(),
        metavar="SCENARIO",
        help=f"a part: {', '.join(SCENARIOS)}",
    )
    parser.add_argument(
        "--debian", action="store_true", help="start Debian's PostgreSQL for the run, and use that"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the recorded run, with its sizes",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="record the run in docs/benchmarks.json, and show it in docs/benchmarks.md",
    )
    parser.add_argument(
        "--recorded",
        type=Path,
        default=RECORD,
        metavar="FILE",
        help="the record to compare with (default: docs/benchmarks.json)",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write this run alone, as JSON")
    options = parser.parse_args(arguments)
    if options.write and (options.only or options.sizes == QUICK.name):
        parser.error("--write records a whole run: leave --only and --quick out")
    return options
