"""The folder of the embedded server: what lies where in it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sentinel.embedded.account import Account, account_beside, make_private_folder
from sentinel.embedded.errors import EmbeddedServerError
from sentinel.embedded.locks import FileLock

PORT = "5432"  # only a part of the name of the socket
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 103  # bytes: what macOS takes; Linux takes 107
# Not `tempfile.gettempdir()`: two commands must agree on it, whatever TMPDIR they have.
SHORT_FOLDER = Path("/tmp")  # noqa: S108 (only a private folder inside is used, and verified)
LASTING_FOLDER = Path("/var/tmp")  # noqa: S108 (likewise; unlike /tmp it outlives a reboot)
LOCK_TIMEOUT = 10.0  # seconds; making a folder takes none


@dataclass(frozen=True)
class ServerFolder:
    """A folder that belongs to the account which the server runs as.

    Args:
        path: the real folder, symbolic links resolved.
        account: its owner.
    """

    path: Path
    account: Account

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.path / "data"

    @property
    def server_log(self) -> Path:
        """What PostgreSQL says."""
        return self.path / "server.log"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor says, which is nothing when all is well."""
        return self.path / "supervisor.log"

    @property
    def start_lock(self) -> Path:
        """Held by the one command that is starting, or that looks whether it is the last."""
        return self.path / "start.lock"

    @property
    def clients_lock(self) -> Path:
        """Shared by all commands that use the server; the supervisor waits to have it alone."""
        return self.path / "clients.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor while it lives."""
        return self.path / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held by all processes of the server together, so that none is ever overlooked."""
        return self.path / "server.lock"

    @property
    def socket_folder(self) -> Path:
        """Where the socket is: here, unless the path is longer than the kernel allows."""
        here = os.fsencode(self.path / SOCKET_NAME)
        # A comma separates hosts in libpq.
        if len(here) <= SOCKET_PATH_LIMIT and b"," not in here:
            return self.path
        return private_name(SHORT_FOLDER, self.path, self.account)

    @property
    def socket(self) -> Path:
        """The server's socket."""
        return self.socket_folder / SOCKET_NAME

    def touch(self, file: Path) -> None:
        """Create `file`, empty and the account's own, unless it is there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(file, flags, 0o600)
        except FileExistsError:
            return
        try:
            self.account.own(descriptor)
        finally:
            os.close(descriptor)

    def open_log(self, log: Path, *, emptied: bool = False) -> BinaryIO:
        """Open one of the logs to append to it. Never through a link: we may be root."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(log, flags | (os.O_TRUNC if emptied else 0)), "ab")


def private_name(parent: Path, path: Path, account: Account) -> Path:
    """Return the short name, always the same, under which `parent` stands in for `path`."""
    digest = hashlib.sha256(os.fsencode(path) + b"\0%d" % account.uid).hexdigest()
    return parent / f"sentinel-{digest[:16]}"


def open_folder(path: Path) -> ServerFolder:
    """Return the folder at `path`, made if it is not there.

    Root cannot run PostgreSQL: its folder is given to another account. Where that account cannot
    reach `path`, `path` becomes a symbolic link to a private folder that it can.

    Raises:
        EmbeddedServerError: the folder belongs to somebody else.
        OSError: it cannot be made.
    """
    path = path.parent.resolve(strict=True) / path.name
    with FileLock(path.parent).hold(seconds=LOCK_TIMEOUT):
        folder = _open_as_root(path) if os.geteuid() == 0 else _open_as_user(path)
        for file in (
            folder.start_lock,
            folder.clients_lock,
            folder.supervisor_lock,
            folder.server_lock,
            folder.server_log,
            folder.supervisor_log,
        ):
            folder.touch(file)
    return folder


def _open_as_user(path: Path) -> ServerFolder:
    path.mkdir(mode=0o700, exist_ok=True)
    me = Account(os.geteuid(), os.getegid())
    owner = path.stat().st_uid
    if owner != me.uid:
        raise EmbeddedServerError(
            f"{path} belongs to the account with id {owner}, not to you, who have {me.uid}: "
            "probably a command ran as root before. Move the folder away, or go on as root."
        )
    return ServerFolder(path.resolve(), me)


def _open_as_root(path: Path) -> ServerFolder:
    account = account_beside(path)
    if path.is_dir():
        info = path.stat()
        if info.st_uid != 0:
            if path.is_symlink():
                make_private_folder(path.resolve(), account)  # is there: only verified
            return ServerFolder(path.resolve(), Account(info.st_uid, info.st_gid))
        if path.is_symlink() or any(path.iterdir()):
            raise EmbeddedServerError(
                f"{path} belongs to root, which PostgreSQL refuses to run as: move it away."
            )
        path.rmdir()
    if account.succeeds('cd -- "$1"', path.parent):
        make_private_folder(path, account)
        return ServerFolder(path, account)
    elsewhere = private_name(LASTING_FOLDER, path, account)
    make_private_folder(elsewhere, account)
    if path.is_symlink() and path.readlink() == elsewhere:
        return ServerFolder(elsewhere, account)  # somebody had tidied the folder away
    path.symlink_to(elsewhere)
    return ServerFolder(elsewhere, account)
