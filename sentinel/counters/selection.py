"""Which rows a repair is to look at: all, those with some keys, or those that an audit listed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import DEFAULT_DB_ALIAS, DataError, connections, transaction

from sentinel.counters.binding import json_keys
from sentinel.counters.registry import find_counters
from sentinel.counters.statements import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.sql import Composable

    from sentinel.counters.binding import BoundCounter, Key

STANDARD_INPUT = "-"


class SelectionError(Exception):
    """What is to be repaired was not said in a way that can be followed."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Rows of one counter.

    Attributes:
        counter: the counter.
        keys: keys of the rows; None for all rows.
        unlisted: rows that an audit found in drift and did not list.
    """

    counter: BoundCounter
    keys: tuple[Key, ...] | None = None
    unlisted: int = 0

    @property
    def among(self) -> Composable | None:
        """The SQL of the keys, for `BoundCounter.comparison`."""
        return None if self.keys is None else json_keys(self.keys)


def select_rows(
    names: Sequence[str],
    *,
    keys: Sequence[str] = (),
    audit: str | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> list[Selection]:
    """Return what is to be repaired.

    Args:
        names: of counters; all where none is given.
        keys: of rows of the one counter that is named, as somebody has typed them.
        audit: a file with what `audit_counters --format json` has printed, or `-`.
        using: the database's alias, in which the keys are looked up.

    Raises:
        UnknownCounterError: a counter of that name is not declared.
        SelectionError: keys of no counter or of several, a key that no row has, a file that cannot
            be read or is no such document.
    """
    if keys and audit:
        raise SelectionError("--key and --from-json each say which rows: give one of them.")
    if audit:
        return _select_listed(_read(audit), source=_name(audit), names=names)
    counters = find_counters(names)
    if not keys:
        return [Selection(counter=counter) for counter in counters]
    if len(set(names)) != 1:
        raise SelectionError("--key needs exactly one --counter: whose key is it?")
    [counter] = counters
    return [
        Selection(
            counter=counter,
            keys=tuple(_find_key(counter, text, using=using) for text in dict.fromkeys(keys)),
        )
    ]


def _find_key(counter: BoundCounter, text: str, *, using: str) -> Key:
    table = counter.parent._meta.db_table
    try:
        key = counter.parse_key(text)
        comparison = counter.comparison(json_keys([key]))
        query = render("repair", "count_rows", comparison=comparison)
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(query.as_string(None))
            [rows] = cursor.fetchone()
    except (DataError, ValueError) as error:
        raise refused_keys(counter, error) from error
    if not rows:
        raise SelectionError(f"{table} has no row with the key {text!r}.")
    return key


def refused_keys(counter: BoundCounter, error: Exception) -> SelectionError:
    """Return the error for keys that do not fit the key's column."""
    reason = str(error).strip().splitlines()[0]
    return SelectionError(f"no key of {counter.parent._meta.db_table}: {reason}.")


def _select_listed(text: str, *, source: str, names: Sequence[str]) -> list[Selection]:
    listed = _parse(text, source=source)
    counters = {counter.name: counter for counter in find_counters(listed)}
    wanted = {counter.name for counter in find_counters(names)}
    absent = sorted(wanted - listed.keys()) if names else []
    if absent:
        raise SelectionError(f"{source} holds no audit of {', '.join(absent)}.")
    return [
        Selection(counter=counters[name], keys=keys, unlisted=max(0, rows_in_drift - len(keys)))
        for name, (keys, rows_in_drift) in listed.items()
        if name in wanted
    ]


def _parse(text: str, *, source: str) -> dict[str, tuple[tuple[Key, ...], int]]:
    """Return the listed keys and the number of rows in drift by counter."""
    if not text.strip():
        raise SelectionError(f"{source} is empty: the audit has printed nothing.")
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SelectionError(f"{source} is no JSON: {error}.") from error
    try:
        return {
            str(audit["counter"]): (
                tuple(_require_key(drift["key"]) for drift in audit["sample"]),
                int(audit["rows_in_drift"]),
            )
            for audit in document["counters"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise SelectionError(
            f"{source} is not what `audit_counters --format json` prints "
            f"({type(error).__name__}: {error})."
        ) from error


def _require_key(key: Any) -> Key:
    if isinstance(key, bool) or not isinstance(key, int | float | str | list):
        raise TypeError(f"{json.dumps(key)} is no key")
    return key


def _name(file: str) -> str:
    return "standard input" if file == STANDARD_INPUT else file


def _read(file: str) -> str:
    try:
        if file == STANDARD_INPUT:
            return sys.stdin.read()
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SelectionError(f"{_name(file)} cannot be read: {reason}.") from error
