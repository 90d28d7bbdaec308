"""The account that the server runs as: one's own, or for root one without privileges."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sentinel.embedded.errors import OTHER_SERVER, EmbeddedServerError

if TYPE_CHECKING:
    from pathlib import Path

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    """An account of the operating system."""

    uid: int
    gid: int

    @property
    def is_mine(self) -> bool:
        """Whether this process runs as the account."""
        return self.uid == os.geteuid()

    @property
    def process_options(self) -> dict[str, Any]:
        """Arguments for `subprocess` that make a program run as the account.

        The working directory is one that everybody can enter, and of the environment little is
        left: PGPORT, PGOPTIONS and the like are meant for other servers.
        """
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
        }
        if not self.is_mine:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, file: Path | int) -> None:
        """Give a file, or an open one, to the account."""
        if not self.is_mine:
            os.chown(file, self.uid, self.gid)

    def succeeds(self, script: str, *arguments: str | Path) -> bool:
        """Return whether a shell script does when the account runs it.

        For questions of access, which modes alone do not answer.
        """
        trial = subprocess.run(  # noqa: S603 (paths are arguments, never a part of the script)
            ["/bin/sh", "-c", script, "sh", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self.process_options,
        )
        return trial.returncode == 0


def account_beside(path: Path) -> Account:
    """Return the account for a server that root starts in `path`.

    It is the one that owns the folder around, so that its owner can go on without root; or
    `nobody`, where that is root's.

    Raises:
        EmbeddedServerError: there is no such account.
    """
    owner = path.parent.stat().st_uid
    try:
        # An id without an account will not do: initdb asks for its name.
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        try:
            entry = pwd.getpwnam(UNPRIVILEGED)
        except KeyError:
            raise EmbeddedServerError(
                f"PostgreSQL refuses to run as root, and there is no account {UNPRIVILEGED!r} to "
                f"run it as: work as an ordinary user. {OTHER_SERVER}"
            ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def make_private_folder(path: Path, account: Account) -> None:
    """Make a folder that `account` alone can enter; one that is there must be just that.

    Raises:
        EmbeddedServerError: something else is there, perhaps laid by somebody else.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        account.own(path)
    info = path.lstat()
    private = stat.S_ISDIR(info.st_mode) and not stat.S_IMODE(info.st_mode) & 0o077
    if not private or info.st_uid != account.uid:
        raise EmbeddedServerError(
            f"{path} is not a folder of the account with id {account.uid} alone (mode 0700): "
            "move it away if it is yours, and be suspicious if it is not."
        )
