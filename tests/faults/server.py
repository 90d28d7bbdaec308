"""A server of a test's own, which may be killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

from sentinel.embedded.account import Account, account_beside
from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.folder import ServerFolder
from sentinel.embedded.programs import MAJOR_VERSION, server_programs, wheel_programs
from tests.scratch import ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERUSER = "postgres"
PATIENCE = 60  # seconds for a start with its recovery, on a machine that is busy
DEBIAN = "/usr/lib/postgresql/{major}/bin"

SETTINGS = {
    "listen_addresses": "",  # the socket alone
    "synchronous_commit": "on",  # what is acknowledged is promised
    "max_prepared_transactions": "10",
    "shared_buffers": "16MB",
    "log_min_messages": "fatal",
}


def suite_version() -> str:
    """The major version of the server that the suite uses."""
    with connection.cursor() as cursor:
        return str(cursor.connection.info.server_version // 10000)


def do_without(what: str) -> None:
    """Skip aloud; where CI runs, everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def client_programs() -> Path:
    """Where pg_dump and pg_restore of the suite's version are."""
    major = suite_version()
    folders = [Path(DEBIAN.format(major=major))]
    if major == MAJOR_VERSION:
        with suppress(EmbeddedServerError):
            folders.insert(0, wheel_programs())
    for folder in folders:
        if (folder / "pg_dump").is_file() and (folder / "pg_restore").is_file():
            return folder
    if found := shutil.which("pg_dump"):
        told = subprocess.run(  # noqa: S603 (found on the PATH)
            [found, "--version"], capture_output=True, text=True, check=True
        )
        if re.search(rf"\b{major}\.", told.stdout):
            return Path(found).parent
    do_without(f"there is no pg_dump of PostgreSQL {major}: looked in {folders} and the PATH")
    raise AssertionError


@dataclass
class OwnServer:
    """A server in a folder of its own.

    Attributes:
        path: the folder, which belongs to the account.
        account: whom the server runs as: oneself, or for root somebody without privileges.
        programs: the folder of initdb and postgres.
        largest_file: bytes; no file of the server's may become larger, as if the disk ended there.
    """

    path: Path
    account: Account
    programs: Path
    largest_file: int | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {"host": str(self.path), "user": SUPERUSER}

    def database(self, name: str) -> ScratchDatabase:
        return ScratchDatabase(name=name, server=self.parameters)

    def initialise(self) -> None:
        subprocess.run(  # noqa: S603 (PostgreSQL's own program)
            [
                str(self.programs / "initdb"),
                *("-D", str(self.path / "data"), f"--username={SUPERUSER}", "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE,
            **self.account.process_options,
        )

    def start(self) -> None:
        """Start, or start again; return when recovery is over.

        After a SIGKILL the processes of the dead one may still end, and keep its memory until then.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                self.launch()
            with suppress(psycopg.OperationalError):
                psycopg.connect(dbname="postgres", **self.parameters).close()
                return
            time.sleep(0.05)
        raise AssertionError(f"did not start:\n{(self.path / 'log').read_text()[-3000:]}")

    def launch(self) -> None:
        options = SETTINGS | {"unix_socket_directories": str(self.path)}
        blocks = self.largest_file // 512 if self.largest_file else "unlimited"  # POSIX's unit
        with (self.path / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 (PostgreSQL's own program)
                [
                    *("/bin/sh", "-c", 'ulimit -S -f "$1" && shift && exec "$@"', "sh"),
                    *(str(blocks), str(self.programs / "postgres"), "-D", str(self.path / "data")),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.account.process_options,
            )

    def end(self, sign: signal.Signals) -> None:
        """SIGKILL, or SIGQUIT for an immediate shutdown."""
        assert self.process
        self.process.send_signal(sign)
        self.process.wait(timeout=PATIENCE)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A new server of the suite's version; ended, and its folder removed."""
    # Not tmp_path: a socket's path is short, and root's folders are not for others to enter.
    path = Path(tempfile.mkdtemp(prefix="sentinel-faults-"))
    server = None
    try:
        mine = Account(os.geteuid(), os.getegid())
        account = account_beside(path) if mine.uid == 0 else mine
        account.own(path)
        server = OwnServer(path=path, account=account, programs=find_programs(path, account))
        server.initialise()
        server.start()
        yield server
    finally:
        if server is not None and server.process is not None:
            server.end(signal.SIGQUIT)
        shutil.rmtree(path)


def find_programs(path: Path, account: Account) -> Path:
    major = suite_version()
    if major == MAJOR_VERSION:
        with suppress(EmbeddedServerError):
            return server_programs(ServerFolder(path, account))
    programs = Path(DEBIAN.format(major=major))
    if not (programs / "initdb").is_file():
        do_without(f"there is no initdb of PostgreSQL {major}: looked in {programs}")
    return programs


@contextmanager
def connected_as(alias: str, database: ScratchDatabase) -> Iterator[str]:
    """The database by a Django alias, for what takes one."""
    settings = connections[DEFAULT_DB_ALIAS].settings_dict | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database.name,
        "HOST": database.server["host"],
        "PORT": database.server.get("port", ""),
        "USER": database.server["user"],
        "PASSWORD": "",
    }
    connections.databases[alias] = settings
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
