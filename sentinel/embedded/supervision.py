"""What a command does about the supervisor: have one start the server, and see one stop it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.embedded.cluster import READY, START_TIMEOUT, STOP_TIMEOUT, Cluster
from sentinel.embedded.errors import EmbeddedServerError, read_tail
from sentinel.embedded.locks import POLL, FileLock, is_held

if TYPE_CHECKING:
    from sentinel.embedded.folder import ServerFolder

PATIENCE = START_TIMEOUT + STOP_TIMEOUT  # seconds: another command may be starting or stopping
ATTEMPTS = 3  # to start a supervisor, which somebody may kill before it has answered
SOURCES = Path(__file__).resolve().parents[2]  # where the package `sentinel` is found


def see_it_run(folder: ServerFolder, path: Path) -> None:
    """Return when there is a supervisor, and with it a server that takes connections.

    To be called with start.lock and a share of clients.lock: no supervisor stops it any more.

    Args:
        folder: the server's folder.
        path: the name that the folder was given in the settings.

    Raises:
        EmbeddedServerError: the server cannot run.
        OSError: the folder cannot be used.
    """
    for _ in range(ATTEMPTS):
        if _is_supervised(folder):
            return
        answer = _start_supervisor(folder, path)
        if answer == READY:
            return
        if answer:
            raise EmbeddedServerError(answer)
    raise EmbeddedServerError(
        f"The supervisor of the embedded PostgreSQL ended {ATTEMPTS} times without a word. "
        f"Its log ends with:\n{read_tail(folder.supervisor_log)}"
    )


def see_it_stop(folder: ServerFolder) -> None:
    """Return when the server is stopped, or when another command uses it.

    To be called with start.lock: no command joins meanwhile, and no other looks for the same.

    Raises:
        EmbeddedServerError: the server does not stop.
        OSError: the folder cannot be used.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        supervised = is_held(folder.supervisor_lock)
        clients = FileLock(folder.clients_lock)
        try:
            if clients.try_acquire():
                # Nobody uses the server. If its supervisor was killed, we are the one to stop it.
                if not supervised:
                    Cluster(folder).stop()
            elif not is_held(folder.clients_lock):
                return  # shared: another command uses the server
        finally:
            clients.close()
        if not supervised:
            return
        time.sleep(POLL)
    raise EmbeddedServerError(f"its supervisor does not end; see {folder.supervisor_log}")


def _is_supervised(folder: ServerFolder) -> bool:
    cluster = Cluster(folder)
    deadline = time.monotonic() + PATIENCE
    while is_held(folder.supervisor_lock):
        if cluster.is_ready():
            return True
        # It is starting the server for a command that was killed, or is about to end.
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"The supervisor in {folder.path} neither starts the server nor ends: end it. "
                f"The server's log ends with:\n{read_tail(folder.server_log)}"
            )
        time.sleep(POLL)
    return False


def _start_supervisor(folder: ServerFolder, path: Path) -> str:
    """Return what a new supervisor answers, which is nothing if it was killed."""
    sources = filter(None, (str(SOURCES), os.environ.get("PYTHONPATH")))
    with folder.open_log(folder.supervisor_log, emptied=True) as log:
        try:
            supervisor = subprocess.run(  # noqa: S603 (this very Python, and no shell)
                [sys.executable, "-P", "-m", "sentinel.embedded.supervisor", path],
                cwd="/",
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sources)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=PATIENCE,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"The supervisor of the embedded PostgreSQL is silent for {PATIENCE} s: end it."
    return supervisor.stdout.decode(errors="replace")
