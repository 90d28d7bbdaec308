"""The process that starts the server, and stops it when no command uses it any more.

Started by the first command as `python -m sentinel.embedded.supervisor FOLDER`, in a session of
its own, so that no Ctrl-C and no closed terminal reaches it or the server. It says on standard
output that the server is ready, or why it is not. Imports nothing of Django, which would take
longer than the start itself.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from sentinel.embedded.cluster import READY, START_TIMEOUT, Cluster
from sentinel.embedded.errors import EmbeddedServerError, explain
from sentinel.embedded.folder import ServerFolder, open_folder
from sentinel.embedded.locks import POLL, FileLock

WATCH_INTERVAL = 0.2  # seconds between two looks whether the server is still there


def main(path: Path) -> None:
    """Start the server in `path`, report, wait until it is needed no more, and stop it."""
    if os.fork():
        # Whoever started us need not wait for the process that stays: init takes it over.
        os._exit(0)
    try:
        cluster = start_server(path, time.monotonic() + START_TIMEOUT)
    except EmbeddedServerError as error:
        report(str(error))
        return
    except OSError as error:
        report(str(explain(error, path)))
        return
    report(READY)
    if cluster:
        supervise(cluster)


def start_server(path: Path, deadline: float) -> Cluster | None:
    """Start the server in `path`, and return it; or None, if another supervisor already has.

    There may be one of a command that was interrupted a moment ago.

    Raises:
        EmbeddedServerError: it does not start until `deadline`, in the time of `time.monotonic`.
        OSError: the folder cannot be used.
    """
    folder = open_folder(path)
    cluster = Cluster(folder)
    alone = FileLock(folder.supervisor_lock)  # never closed: held while this process lives
    while not alone.try_acquire():
        if cluster.is_ready():
            return None
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"An earlier supervisor in {path} does not end: end it.")
        time.sleep(POLL)
    cluster.start(deadline)
    return cluster


def supervise(cluster: Cluster) -> None:
    """Stop the server when no command uses it any more; return earlier if it ends by itself."""
    folder = cluster.folder
    threading.Thread(target=leave_after_crash, args=(folder,), daemon=True).start()
    clients = FileLock(folder.clients_lock)
    clients.wait()
    if clients.is_current():
        cluster.stop()
    else:  # somebody has removed the folder, and another server may be in its place
        cluster.abandon()


def report(text: str) -> None:
    """Tell the command that waits, if it still does, and let go of its pipe."""
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), text.encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def leave_after_crash(folder: ServerFolder) -> None:
    """End this process when the server has ended by itself: the next command starts both."""
    server = FileLock(folder.server_lock)
    while not server.try_acquire(shared=True):
        time.sleep(WATCH_INTERVAL)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
