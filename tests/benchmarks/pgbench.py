"""Runs pgbench with scripts of our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.programs import wheel_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.database import Database

SCRIPTS = Path(__file__).with_name("pgbench")
DEBIAN = Path("/usr/lib/postgresql")
RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
# Threads of pgbench itself; more of them than that take the processors from the server.
THREADS = 2


class PgbenchError(Exception):
    """pgbench is not there, or did not run to its end."""


@dataclass(frozen=True, kw_only=True)
class PgbenchRun:
    """What pgbench reports.

    Attributes:
        rate: transactions a second, without the time to connect.
        failed: transactions that ended in a deadlock or a serialization failure.
    """

    rate: float
    failed: int

    @property
    def milliseconds(self) -> float:
        """Of one transaction of one client."""
        return 1000 / self.rate


def find_pgbench() -> Path:
    """Return where pgbench is: on the PATH, Debian's newest, or the embedded server's.

    Raises:
        PgbenchError: it is nowhere.
    """
    for path in _candidates():
        if path.is_file():
            return path
    raise PgbenchError("There is no pgbench. Install PostgreSQL, or put pgbench on the PATH.")


def run_pgbench(
    database: Database,
    script: str,
    *,
    schema: str,
    clients: int = 1,
    transactions: int | None = None,
    seconds: float = 0,
    **variables: int,
) -> PgbenchRun:
    """Run a script of the folder `pgbench`, for so many transactions or for so long.

    Args:
        database: where.
        script: its name without the ending.
        schema: of the peer whose tables it writes.
        clients: how many connections.
        transactions: of each client; None for a time.
        seconds: for which they write, where no number of transactions is given.
        variables: of the script.

    Raises:
        PgbenchError: it is not there, or a statement failed with an error that is no deadlock.
    """
    command = pgbench_command(
        script, clients=clients, transactions=transactions, seconds=seconds, **variables
    )
    done = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        command,
        env=database.environment(schema),
        capture_output=True,
        text=True,
        check=False,
    )
    rate = RATE.search(done.stdout)
    if done.returncode or rate is None:
        told = done.stderr.strip().splitlines()[-3:]
        raise PgbenchError(f"{script} in {schema}: pgbench ended with {done.returncode}: {told}")
    failed = FAILED.search(done.stdout)
    return PgbenchRun(rate=float(rate[1]), failed=int(failed[1]) if failed else 0)


def pgbench_command(
    script: str,
    *,
    clients: int,
    transactions: int | None = None,
    seconds: float = 0,
    **variables: int,
) -> list[str]:
    """Return the command line of `run_pgbench`. The database is in the environment."""
    length = ["-T", f"{seconds:g}"] if transactions is None else ["-t", str(transactions)]
    words = [f"-D{name}={value}" for name, value in variables.items()]
    return [
        str(find_pgbench()),
        *("--no-vacuum", "--client", str(clients), "--jobs", str(min(clients, THREADS))),
        *("--file", str(SCRIPTS / f"{script}.sql"), *length, *words),
    ]


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PGBENCH"):
        yield Path(named)
    if found := shutil.which("pgbench"):
        yield Path(found)
    versions = (path for path in DEBIAN.glob("*") if path.name.isdigit())
    for version in sorted(versions, key=lambda path: int(path.name), reverse=True):
        yield version / "bin" / "pgbench"
    with suppress(EmbeddedServerError):
        yield wheel_programs() / "pgbench"
