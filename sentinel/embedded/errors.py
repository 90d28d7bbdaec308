"""What the embedded server says when it cannot run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OTHER_SERVER = (
    "Or use another server: set DATABASE_URL to postgresql://user:password@host:port/name."
)
TAIL = 2_000  # characters of a log that still fit a terminal


class EmbeddedServerError(Exception):
    """The embedded PostgreSQL cannot run here; the message says why and what to do."""


def explain(error: OSError, path: Path) -> EmbeddedServerError:
    """Return what to say when the operating system refuses something about the folder `path`."""
    return EmbeddedServerError(
        f"The embedded PostgreSQL cannot use {path}: {error}. Make it possible, and run the "
        f"command again. {OTHER_SERVER}"
    )


def read_tail(log: Path, start: int = 0) -> str:
    """Return the end of what stands in `log` from byte `start` on, or a remark that it is empty."""
    try:
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode(errors="replace").strip()
    except OSError as error:
        return f"({error})"
    return text[-TAIL:] or f"({log} says nothing)"
