"""Reads the statements of the `sql` folder, one a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"


@cache
def statement(name: str) -> str:
    """Return the statement of this name, without the comments above it.

    Raises:
        FileNotFoundError: there is no such file.
    """
    lines = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))
