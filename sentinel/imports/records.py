"""From a line to a record: JSON, as strictly as PostgreSQL's `jsonb` wants it."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

from sentinel.imports.errors import RecordError
from sentinel.imports.fields import Record, describe
from sentinel.imports.source import LONGEST_LINE, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel.imports.source import Line

# What jsonb can store of a number: digits before and after the decimal point.
DIGITS_BEFORE, DIGITS_AFTER = 131_072, 16_383
LONGEST_NUMBER = DIGITS_BEFORE + DIGITS_AFTER + 20  # characters, sign, point and exponent included
LONGEST_INT = 1000  # digits; Python refuses to read more than 4,300 as an int
DEEPEST = 500  # levels; Python's and PostgreSQL's own limits are higher, and differ by version

# Escapes of NUL and of one half of a surrogate pair: worth a closer look.
SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def parse_record(line: Line) -> tuple[str, Record]:
    """Return a line's text and the record it holds.

    What this accepts, `jsonb` accepts too. A key that is there twice counts as the last, as there.

    Raises:
        RecordError: not UTF-8, not JSON, no object, too long, too deep, or with a character or
            number in it, at any depth, that PostgreSQL cannot store.
    """
    if line.too_long:
        raise RecordError(f"longer than {LONGEST_LINE // MIB} MiB, the limit for one record")
    try:
        text = line.raw.decode()
    except UnicodeDecodeError as error:
        raise RecordError(
            f"not UTF-8: byte 0x{line.raw[error.start]:02x} at position {error.start + 1}"
        ) from None
    if "\0" in text:
        raise RecordError("holds a NUL character, which PostgreSQL cannot store")
    record = _decode(text)
    if not isinstance(record, dict):
        raise RecordError(f"{describe(record)} instead of a JSON object")
    if text.count("[") + text.count("{") > DEEPEST or SUSPICIOUS.search(text):
        _inspect(record)
    return text, record


def _decode(text: str) -> Any:
    try:
        return DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise RecordError(TOO_DEEP) from None


def _inspect(record: Record) -> None:
    """Refuse what cannot be stored, at any depth, without recursion."""
    path: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [iter(record.items())]
    while levels:
        depth = len(levels)
        for key, value in levels[-1]:
            path[depth - 1 :] = [key]
            if isinstance(key, str):
                _inspect_text(key, path, of_key=True)
            if isinstance(value, str):
                _inspect_text(value, path)
            elif isinstance(value, dict | list):
                if depth == DEEPEST:
                    raise RecordError(TOO_DEEP)
                levels.append(iter(value.items()) if isinstance(value, dict) else enumerate(value))
                break
        else:
            levels.pop()


def _inspect_text(text: str, path: list[str | int], *, of_key: bool = False) -> None:
    if "\0" in text:
        wrong = "a NUL character (\\u0000), which PostgreSQL cannot store"
    elif half := LONE_SURROGATE.search(text):
        wrong = f"half of a surrogate pair (\\u{ord(half[0]):04x}), which is no character"
    else:
        return
    if of_key:
        raise RecordError(f"a key of {_place(path[:-1]) or 'the record'} holds {wrong}")
    raise RecordError(f"{_place(path)} holds {wrong}")


def _place(path: list[str | int]) -> str:
    """Return where a value is, such as `messages[0].content`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def _read_int(literal: str) -> int | Decimal:
    return int(literal) if len(literal) <= LONGEST_INT else _read_decimal(literal)


def _read_decimal(literal: str) -> Decimal:
    """Return a number exactly as it is written.

    Raises:
        RecordError: `jsonb` cannot hold it.
    """
    try:
        number = Decimal(literal if len(literal) <= LONGEST_NUMBER else "NaN")
    except InvalidOperation:  # an exponent beyond all measure
        number = Decimal("NaN")
    exponent = number.as_tuple().exponent
    fits = isinstance(exponent, int) and exponent >= -DIGITS_AFTER
    if not fits or number.adjusted() >= DIGITS_BEFORE:
        raise RecordError(f"the number {literal[:20]}… has more digits than PostgreSQL can store")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError(f"not JSON: {name} is no number there")


TOO_DEEP = f"nested more than {DEEPEST} levels deep"
DECODER = json.JSONDecoder(
    parse_int=_read_int, parse_float=_read_decimal, parse_constant=_refuse_constant
)
