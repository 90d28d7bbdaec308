"""The PostgreSQL server of a folder: started, asked and stopped.

All its processes hold `server.lock` together, which they inherit. So a lock that is free proves
that none is left, and a `postmaster.pid` that lies there nevertheless is a dead one's.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from sentinel.embedded.account import make_private_folder
from sentinel.embedded.data import prepare_data
from sentinel.embedded.errors import EmbeddedServerError, read_tail
from sentinel.embedded.folder import PORT, SOCKET_NAME
from sentinel.embedded.locks import POLL, FileLock, is_held
from sentinel.embedded.programs import run_program, server_programs

if TYPE_CHECKING:
    from pathlib import Path

    from sentinel.embedded.folder import ServerFolder

READY = "ready"
LOG_LIMIT = 1_000_000  # bytes, after which a log is put aside at the next start
START_TIMEOUT = 60  # seconds, with initdb
STOP_TIMEOUT = 30  # seconds that a stopping server has to write what is in memory
STATUS_LINE = 7  # of postmaster.pid, counted from 0: what pg_ctl reads, too

# What differs from PostgreSQL's defaults, among them 100 connections and 128 MB of shared buffers,
# which do for a database that people develop and test with.
SETTINGS = {
    "listen_addresses": "",  # the socket alone: no port to collide with, no password to keep
    "unix_socket_permissions": "0700",
    "port": PORT,
    # Commits do not wait for the disk, which is most of the time of a test that commits. fsync
    # stays on: a crash costs what was committed in the last half second, never the database.
    "synchronous_commit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Cluster:
    """The server of one folder.

    Args:
        folder: where it keeps its data.
    """

    def __init__(self, folder: ServerFolder) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def is_ready(self) -> bool:
        """Return whether the server takes connections."""
        try:
            status = self._pid_file.read_text().splitlines()[STATUS_LINE].strip()
            if status != READY:
                return False
            with socket.socket(socket.AF_UNIX) as probe:  # a dead server leaves its file behind
                probe.connect(str(self.folder.socket))
        except (OSError, IndexError):
            return False
        return True

    def start(self, deadline: float) -> None:
        """Start the server, make it first if need be, or find that it runs already.

        Args:
            deadline: when to give up, in the time of `time.monotonic`.

        Raises:
            EmbeddedServerError: it does not start.
            OSError: the folder cannot be written to.
        """
        lock = FileLock(self.folder.server_lock)
        try:
            while not lock.try_acquire():
                if self.is_ready():
                    return  # its supervisor was killed
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Processes of an earlier server in {self.folder.path} neither answer nor "
                        "end: find them with 'ps' and end them."
                    )
                time.sleep(POLL)
            prepare_data(self.folder, lock, deadline)
            if self.folder.socket_folder != self.folder.path:
                make_private_folder(self.folder.socket_folder, self.folder.account)
            self._remove_traces()
            self._launch(lock, deadline)
        finally:
            lock.close()

    def stop(self) -> None:
        """Stop the server, if it runs, and return when none of its processes is left.

        Raises:
            EmbeddedServerError: it does not stop.
        """
        for mode in ("fast",) * STOP_TIMEOUT + ("immediate",) * 5:
            if not is_held(self.folder.server_lock):
                return
            # Repeated, since a server that has only just been launched does not listen yet.
            run_program(self.folder, "pg_ctl", "stop", "-D", self.folder.data, "-m", mode, "-W")
            lock = FileLock(self.folder.server_lock)
            stopped = lock.acquire(seconds=1)
            lock.close()
            if stopped:
                return
        raise EmbeddedServerError(
            f"The server in {self.folder.path} does not stop: find its processes with 'ps' and end "
            f"them. Its log ends with:\n{read_tail(self.folder.server_log)}"
        )

    def abandon(self) -> None:
        """End a server that this process has started, and whose folder somebody has removed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)

    @property
    def _pid_file(self) -> Path:
        return self.folder.data / "postmaster.pid"

    def _remove_traces(self) -> None:
        # PostgreSQL itself goes by the process ids in these files: after a crash, or in a new
        # container, those easily belong to somebody else, and it would refuse to start.
        socket_file = self.folder.socket
        for file in (self._pid_file, socket_file, socket_file.with_name(f"{SOCKET_NAME}.lock")):
            file.unlink(missing_ok=True)

    def _launch(self, lock: FileLock, deadline: float) -> None:
        log = self.folder.server_log
        if log.lstat().st_size > LOG_LIMIT:
            log.rename(log.with_suffix(".old"))
            self.folder.touch(log)
        start = log.lstat().st_size
        quoted = str(self.folder.socket_folder).replace('"', '""')
        settings = SETTINGS | {"unix_socket_directories": f'"{quoted}"'}
        with self.folder.open_log(log) as output:
            # Launched directly: pg_ctl would put these paths through a shell.
            process = self._process = subprocess.Popen(  # noqa: S603 (our program, and no shell)
                [
                    server_programs(self.folder) / "postgres",
                    *("-D", self.folder.data),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock.descriptor,),
                **self.folder.account.process_options,
            )
        while not self.is_ready():
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(POLL)
                continue
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise EmbeddedServerError(
                f"The embedded PostgreSQL in {self.folder.path} did not start. Mend what its log "
                f"says, and run the command again:\n{read_tail(log, start)}"
            )
