"""The embedded server as the commands see it that use it.

Commands that run at the same time share one server. Each holds `clients.lock`, shared, while it
lives. The first one starts a supervisor, which starts the server and then waits to have
`clients.lock` alone: then no command is left, and it stops the server. The kernel takes a lock
back however a process ends, so neither Ctrl-C nor `kill -9` leaves a server behind; no list of
process ids is kept that could be wrong.

Starting, and looking whether one is the last, happen under `start.lock`, so that they cannot cross.
Every other order of events comes out right by itself: a command that begins while the supervisor
stops the server waits for the lock and starts both again; a supervisor whose server has crashed
ends, and the next connection starts both; a server whose supervisor was killed is taken over by
the next command's supervisor, or stopped by the last command.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING

from sentinel.embedded.cluster import Cluster
from sentinel.embedded.errors import EmbeddedServerError, explain
from sentinel.embedded.folder import ServerFolder, open_folder
from sentinel.embedded.locks import FileLock
from sentinel.embedded.programs import wheel_programs
from sentinel.embedded.supervision import PATIENCE, see_it_run, see_it_stop

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)


class EmbeddedServer:
    """The PostgreSQL of a folder, used by this process from `start` to its end.

    Args:
        path: the folder, made by the first `start` if it is not there; the one around it must be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._folder: ServerFolder | None = None
        self._clients: FileLock | None = None
        self._mutex = threading.Lock()

    @property
    def is_started(self) -> bool:
        """Whether this process has started the server, or joined it. It may have crashed since."""
        return self._clients is not None

    @property
    def is_ready(self) -> bool:
        """Whether the server takes connections, as far as this process has started it."""
        return self._folder is not None and Cluster(self._folder).is_ready()

    @property
    def socket_folder(self) -> Path:
        """The folder of the server's socket: `host`, for psql and for libpq.

        Raises:
            EmbeddedServerError: `start` was not called.
        """
        if self._folder is None:
            raise EmbeddedServerError(f"The server in {self.path} is not started: call start().")
        return self._folder.socket_folder

    @property
    def psql(self) -> Path:
        """The terminal of the server's own version.

        Raises:
            EmbeddedServerError: PostgreSQL is not installed.
        """
        return wheel_programs() / "psql"

    def start(self) -> None:
        """Have the server run until this process ends. Returns when it takes connections.

        Takes about a tenth of a second, and about one when the data folder has to be made.

        Raises:
            EmbeddedServerError: it cannot run; the message says why.
        """
        with self._mutex:
            try:
                self._start()
            except OSError as error:
                raise explain(error, self.path) from error

    def leave(self) -> None:
        """Stop using the server, and stop it where nobody else does. Returns when that is done.

        Called by itself at the end of the process. Connections that are still open are cut.

        Raises:
            EmbeddedServerError: it does not stop.
            OSError: the folder cannot be read.
        """
        with self._mutex:
            if self._clients is None or self._folder is None:
                return
            in_place = self._clients.is_current()
            self._clients.close()
            self._clients = None
            if not in_place:
                return  # somebody removed the folder, and the supervisor ends the server
            with FileLock(self._folder.start_lock).hold(seconds=PATIENCE):
                see_it_stop(self._folder)

    def _start(self) -> None:
        wheel_programs()  # or fail before anything is made
        folder = self._folder = open_folder(self.path)
        with FileLock(folder.start_lock).hold(seconds=PATIENCE):
            if self._clients is None:
                self._join(folder)
                atexit.register(self._leave_at_exit, os.getpid())
            elif not self._clients.is_current():  # somebody removed the folder
                self._clients.close()
                self._join(folder)
            see_it_run(folder, self.path)

    def _join(self, folder: ServerFolder) -> None:
        clients = FileLock(folder.clients_lock)
        if not clients.acquire(shared=True, seconds=PATIENCE):
            clients.close()
            raise EmbeddedServerError(
                f"The server in {self.path} has been stopping for {PATIENCE} s: see "
                f"{folder.server_log} and {folder.supervisor_log}."
            )
        self._clients = clients

    def _leave_at_exit(self, pid: int) -> None:
        if pid != os.getpid():
            return  # a fork of the command, which the kernel counts without our help
        try:
            self.leave()
        except (EmbeddedServerError, OSError) as error:
            logger.warning("The embedded PostgreSQL in %s may still run: %s", self.path, error)
