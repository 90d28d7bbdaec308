"""Reads the named queries of the `sql` folder."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from psycopg.sql import SQL, Composable, Identifier

FOLDER = Path(__file__).parent / "sql"
NAME = re.compile(r"^-- name: (\w+)\n((?:--.*\n)*)", re.MULTILINE)


@cache
def named_queries(file: str, folder: Path = FOLDER) -> dict[str, str]:
    """Return the queries of a file by name, without the comments above them.

    Args:
        file: the file's name without its ending, such as `audit`.
        folder: where it is.
    """
    text = (folder / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = NAME.split(text)
    names, bodies = parts[0::3], parts[2::3]
    return {name: body.strip("\n") for name, body in zip(names, bodies, strict=True)}


def render(file: str, query: str, **words: Composable) -> Composable:
    """Return a query with its words in braces filled in.

    Raises:
        KeyError: no query of that name, or a word in braces is not given.
    """
    return SQL(named_queries(file)[query]).format(**words)


def quoted(name: str) -> str:
    """Return a name as it stands in SQL, in double quotes."""
    return Identifier(name).as_string(None)
