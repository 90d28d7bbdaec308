"""Debian's PostgreSQL, started for one run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sentinel.embedded.account import Account, account_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

DEBIAN = Path("/usr/lib/postgresql")
SUPERUSER = "postgres"
PATIENCE = 60  # seconds for a start on a machine that is busy
# What Debian's packages set is left as it is: memory and checkpoints are those of the record.
SETTINGS = {"listen_addresses": "", "max_connections": "100"}


class ServerError(Exception):
    """There is no such server, or it did not start."""


@contextmanager
def debian_server() -> Iterator[str]:
    """Start Debian's newest PostgreSQL in a folder of its own, and return its address.

    Raises:
        ServerError: none is installed, or it does not start.
    """
    programs = _find_programs()
    path = Path(tempfile.mkdtemp(prefix="sentinel-bench-"))
    process = None
    try:
        mine = Account(os.geteuid(), os.getegid())
        account = account_beside(path) if mine.uid == 0 else mine
        account.own(path)
        _initialise(programs, path, account)
        process = _launch(programs, path, account)
        _wait(programs, path, process)
        yield f"postgresql:///postgres?{urlencode({'host': str(path), 'user': SUPERUSER})}"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.wait(PATIENCE)
        shutil.rmtree(path, ignore_errors=True)


def _find_programs() -> Path:
    versions = [path for path in DEBIAN.glob("*") if (path / "bin" / "initdb").is_file()]
    if not versions:
        raise ServerError(
            f"There is no PostgreSQL in {DEBIAN}: apt-get install postgresql, or set DATABASE_URL."
        )
    return max(versions, key=lambda path: int(path.name)) / "bin"


def _initialise(programs: Path, path: Path, account: Account) -> None:
    done = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        [
            *(str(programs / "initdb"), "-D", str(path / "data"), f"--username={SUPERUSER}"),
            *("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
        ],
        capture_output=True,
        text=True,
        check=False,
        **account.process_options,
    )
    if done.returncode:
        raise ServerError(f"initdb failed: {done.stderr.strip()}")


def _launch(programs: Path, path: Path, account: Account) -> subprocess.Popen[bytes]:
    options = SETTINGS | {"unix_socket_directories": str(path)}
    with (path / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 (PostgreSQL's own program)
            [
                *(str(programs / "postgres"), "-D", str(path / "data")),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **account.process_options,
        )


def _wait(programs: Path, path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        asked = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
            [str(programs / "pg_isready"), "--quiet", "--host", str(path)], check=False
        )
        if asked.returncode == 0:
            return
        time.sleep(0.1)
    raise ServerError(f"it did not start:\n{(path / 'log').read_text(encoding='utf-8')[-2000:]}")
