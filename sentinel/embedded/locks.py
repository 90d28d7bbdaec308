"""Locks that the kernel takes back when their holder ends, however it ends."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError as error:  # Windows
    raise ImportError(
        "The embedded PostgreSQL runs on Linux and macOS only: "
        "set DATABASE_URL to postgresql://user:password@host:port/name."
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLL = 0.01  # seconds between two looks at something that is about to change


class FileLock:
    """A lock on an existing file, or folder, shared by many or held by one.

    A forked child, and a program that is given `descriptor`, hold the lock together with the
    process that took it: it is free when the last of them has closed it. For the same reason it
    is given up by closing, never by unlocking, which would take it from all of them.

    Args:
        path: the file. One object stands for one holder, not for one file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The open file, to be handed to a program that shall hold the lock as well."""
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return self._descriptor

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if it is free, and return whether it was."""
        try:
            fcntl.flock(
                self.descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
            )
        except BlockingIOError:
            return False
        return True

    def acquire(self, *, seconds: float, shared: bool = False) -> bool:
        """Take the lock, waiting for it for some seconds, and return whether it was had."""
        deadline = time.monotonic() + seconds
        while not self.try_acquire(shared=shared):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True

    def wait(self) -> None:
        """Take the lock, and wait for it without end."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def close(self) -> None:
        """Give the lock up, as far as this process is concerned."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def is_current(self) -> bool:
        """Return whether the file that is open here still is the one that has its name."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        except FileNotFoundError:
            return False

    @contextmanager
    def hold(self, *, seconds: float) -> Iterator[None]:
        """Hold the lock.

        Raises:
            TimeoutError: it was not had within these seconds.
        """
        try:
            if not self.acquire(seconds=seconds):
                raise TimeoutError(f"another process has kept {self.path} for {seconds:.0f} s")
            yield
        finally:
            self.close()


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock on `path` for itself alone."""
    probe = FileLock(path)
    try:
        return not probe.try_acquire(shared=True)
    finally:
        probe.close()
