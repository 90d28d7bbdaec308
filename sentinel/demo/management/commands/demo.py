"""`manage.py demo`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from sentinel.console import ConsoleCommand, natural_number
from sentinel.demo.access import EMAIL, open_admin
from sentinel.demo.narration import Narrator
from sentinel.demo.preparing import (
    NotForProductionError,
    apply_migrations,
    describe_database,
    refuse_production,
)
from sentinel.demo.seeding import DEFAULT_SEED, DEFAULT_THREADS, DemoData, seed_demo
from sentinel.demo.serving import LAST_PORT, ServingError, admin_address, open_server, serve
from sentinel.demo.tour import TourError, take_tour

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

DEFAULT_PORT = 8000  # as runserver's


class Command(ConsoleCommand):
    """Parses, and walks through the demo from section to section."""

    help = (
        "Show Sentinel: bring the database up to date, fill it with demo data, take a tour of the "
        "counters, and serve the admin on this machine until Ctrl-C. Can be run again: what is "
        "there stays, only the password of the demo's account is a new one each time."
    )
    examples = """\
  manage.py demo
  manage.py demo --no-serve
  manage.py demo --threads 2000 --port 8080"""
    when_interrupted = "The demo can be run again."
    expected_errors = (NotForProductionError, ServingError, TourError)

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument(
            "--threads",
            type=natural_number,
            default=DEFAULT_THREADS,
            metavar="N",
            help="conversations to make, where there are none (default: %(default)s)",
        )
        parser.add_argument(
            "--seed",
            type=natural_number,
            default=DEFAULT_SEED,
            metavar="N",
            help="another seed makes other data (default: %(default)s)",
        )
        parser.add_argument(
            "--serve",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="serve the admin at the end, or stop before",
        )
        parser.add_argument(
            "--port",
            type=port_number,
            default=DEFAULT_PORT,
            help="where to serve; the next free one if it is taken (default: %(default)s)",
        )

    def run(self, **options: Any) -> int:
        """See `ConsoleCommand.run`."""
        refuse_production()
        self.show(Narrator(self.stdout, self.style), options)
        return 0

    def show(self, narrator: Narrator, options: dict[str, Any]) -> None:
        """Show everything, in its order."""
        with narrator.section("Database"):
            narrator.say(describe_database())
            applied = apply_migrations(verbosity=max(0, options["verbosity"] - 1))
            narrator.say(f"{applied} migrations applied." if applied else "It is up to date.")
        with narrator.section("Demo data"):
            data = seed_demo(threads=options["threads"], seed=options["seed"], now=timezone.now())
            narrator.say(describe_data(data))
        with narrator.section("Tour"):
            take_tour(narrator)
        if options["serve"]:
            self.serve_admin(narrator, port=options["port"])
        else:
            narrator.head("Admin")
            self.print_account(narrator)
            self.print_next_commands(narrator)

    def serve_admin(self, narrator: Narrator, *, port: int) -> None:
        """Tell the way to the admin, and serve it until Ctrl-C."""
        with open_server(port) as server:
            narrator.head("Admin")
            if server.server_port != port:
                narrator.say(f"Port {port} is taken.")
            narrator.stress(f"address   {admin_address(server)}")
            self.print_account(narrator)
            narrator.say("Ctrl-C ends the demo.")
            serve(server)
        narrator.say("\nThe demo has ended.")

    def print_account(self, narrator: Narrator) -> None:
        """Make the account to log in with, and print it."""
        password = open_admin()
        narrator.stress(f"email     {EMAIL}\npassword  {password}")

    def print_next_commands(self, narrator: Narrator) -> None:
        """Print what to type next."""
        manage = f"{own_python()} manage.py"
        narrator.say(
            "Next:\n"
            f"  {manage} runserver        # the admin, at http://127.0.0.1:8000/\n"
            f"  {manage} audit_counters   # the proof, at any time"
        )


def describe_data(data: DemoData) -> str:
    """Return what there is, in words."""
    made = (
        f"{data.users:,} users, {data.threads:,} threads, {data.messages:,} messages, "
        f"{data.itineraries:,} itineraries, {data.uses:,} uses of features"
    )
    return f"{made} made." if data.added else f"It is there already: {made}. Nothing is added."


def own_python() -> str:
    """Return the Python that runs, as one would type it here."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return shlex.quote(str(python))


def port_number(text: str) -> int:
    """Parse a port."""
    port = natural_number(text)
    if not 1 <= port <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {LAST_PORT}")
    return port
