"""A pgbouncer of a test's own, in transaction mode, before the server that the suite uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

from sentinel.embedded.account import Account, account_beside
from tests.faults.databases import suite_server
from tests.faults.server import do_without
from tests.scratch import ScratchDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian puts it
PORT = 6432  # names the socket; nothing listens on the network
SESSIONS = 4  # for everybody: fewer than the tests have clients
PATIENCE = 20  # seconds for a start, on a machine that is busy

CONFIGURATION = """\
[databases]
* = {server}

[pgbouncer]
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 100
unix_socket_dir = {folder}
listen_port = {port}
auth_type = any
"""


@dataclass(frozen=True, kw_only=True)
class Pooler:
    """Where a pgbouncer listens.

    Attributes:
        folder: of its socket.
        server: the server behind it, as libpq's words.
    """

    folder: Path
    server: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        return {"host": str(self.folder), "port": PORT, "user": self.server["user"]}

    def database(self, name: str) -> ScratchDatabase:
        return ScratchDatabase(name=name, server=self.parameters)

    @contextmanager
    def before_the_suite(self) -> Iterator[None]:
        """Django's connections go through the pooler, in every thread that makes one."""
        direct = connections.databases[DEFAULT_DB_ALIAS]
        use_settings(
            direct
            | {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": str(self.folder),
                "PORT": PORT,
                "USER": self.server["user"],
                "PASSWORD": "",
            }
        )
        try:
            yield
        finally:
            use_settings(direct)


def use_settings(settings: dict[str, Any]) -> None:
    """Let this thread's connection be made anew."""
    connections[DEFAULT_DB_ALIAS].close()
    del connections[DEFAULT_DB_ALIAS]
    connections.databases[DEFAULT_DB_ALIAS] = settings


@contextmanager
def own_pooler() -> Iterator[Pooler]:
    """A new pgbouncer; ended, and its folder removed."""
    program = shutil.which("pgbouncer", path=PROGRAMS)
    if program is None:
        do_without("there is no pgbouncer: apt-get install pgbouncer")
        raise AssertionError
    server = suite_server()
    # Not tmp_path: a socket's path is short, and root's folders are not for others to enter.
    folder = Path(tempfile.mkdtemp(prefix="sentinel-pooler-"))
    try:
        account = account_for(folder, server)
        account.own(folder)
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                server=" ".join(f"{word}={quoted(value)}" for word, value in server.items()),
                sessions=SESSIONS,
                folder=folder,
                port=PORT,
            ),
            encoding="utf-8",
        )
        account.own(configuration)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 (found on the PATH)
                [program, str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **account.process_options,
            )
        try:
            pooler = Pooler(folder=folder, server=server)
            wait_for(pooler)
            yield pooler
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)
    finally:
        shutil.rmtree(folder)


def account_for(folder: Path, server: dict[str, Any]) -> Account:
    """Whom it runs as: oneself, or for root the owner of the server's socket, or `nobody`."""
    mine = Account(os.geteuid(), os.getegid())
    if mine.uid != 0:
        return mine
    host = Path(str(server.get("host", "")))
    if host.is_absolute() and host.stat().st_uid != 0:
        return Account(host.stat().st_uid, host.stat().st_gid)
    return account_beside(folder)


def quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def wait_for(pooler: Pooler) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(dbname="postgres", **pooler.parameters).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"did not start:\n{(pooler.folder / 'log').read_text()[-3000:]}")
