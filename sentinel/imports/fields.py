"""Checks of a record's fields. Each returns the value, or says what is wrong and what is right."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.contrib.auth.base_user import BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from sentinel.imports.errors import RecordError

Record = Mapping[str, Any]
LONGEST_QUOTE = 60  # characters of a wrong value that a message repeats
KNOWN_EMAILS = 20_000  # users come back, often on the next line; some 4 MB

KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "text"),
    (bool, "a boolean"),  # before numbers: Python counts it among them
    ((int, Decimal), "a number"),
    (list, "a list"),
    (dict, "an object"),
)


def describe(value: object) -> str:
    """Return what kind of JSON value this is, in words."""
    return next((words for kind, words in KINDS if isinstance(value, kind)), "null")


def quote(value: str) -> str:
    """Return a value as a message shows it: in quotes, harmless to a terminal, not too long."""
    shown = repr(value[:LONGEST_QUOTE])
    return shown if len(value) <= LONGEST_QUOTE else f"{shown}…"


def require_text(record: Record, name: str, *, within: str = "") -> str:
    """Return a field that is text, empty or not.

    Args:
        record: the object that has the field.
        name: the field's name.
        within: where in the record that object is, such as `messages[2].`.

    Raises:
        RecordError: the field is missing or something else. So do the functions below.
    """
    value = _require(record, name, str, "text", within=within)
    return str(value)


def require_filled_text(record: Record, name: str, *, max_length: int | None = None) -> str:
    """Return a field that is text, not empty or blank, of at most so many characters."""
    value = require_text(record, name)
    if not value.strip():
        raise RecordError(f'"{name}" is empty')
    if max_length is not None and len(value) > max_length:
        raise RecordError(f'"{name}" is too long: {len(value):,} characters, {max_length} fit')
    return value


def require_email(record: Record, name: str) -> str:
    """Return a field that is an email address."""
    value = require_text(record, name)
    try:
        email_address(value)
    except ValidationError:
        raise RecordError(f'"{name}" is no email address: {quote(value)}') from None
    return value


@lru_cache(KNOWN_EMAILS)
def email_address(email: str) -> str:
    """Return an email address with its domain in lower case, as a new user gets it.

    Raises:
        ValidationError: it is none.
    """
    validate_email(email)
    return BaseUserManager.normalize_email(email)


def require_whole_number(record: Record, name: str, *, least: int, most: int) -> int:
    """Return a field that is a whole number within bounds, however JSON writes it."""
    value = _require(record, name, (int, Decimal), "a number", within="")
    if isinstance(value, bool):
        raise RecordError(f'"{name}" is a boolean instead of a number')
    if not least <= value <= most or value != int(value):
        raise RecordError(
            f'"{name}" is {str(value)[:LONGEST_QUOTE]}: '
            f"give a whole number of {least} or more, {most:,} at most"
        )
    return int(value)


def require_list(record: Record, name: str, *, within: str = "") -> list[Any]:
    """Return a field that is a list."""
    value: list[Any] = _require(record, name, list, "a list", within=within)
    return value


def require_object(record: Record, name: str) -> Record:
    """Return a field that is an object."""
    value: Record = _require(record, name, dict, "an object", within="")
    return value


def _require(
    record: Record, name: str, kind: type | tuple[type, ...], words: str, *, within: str
) -> Any:
    try:
        value = record[name]
    except KeyError:
        raise RecordError(f'no field "{within}{name}"') from None
    if not isinstance(value, kind):
        raise RecordError(f'"{within}{name}" is {describe(value)} instead of {words}')
    return value
