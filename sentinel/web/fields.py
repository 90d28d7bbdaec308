"""What a request may hold: texts, keys and documents that PostgreSQL can store as they are."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

LARGEST_INTEGER = 2_147_483_647  # of an integer column
LARGEST_BIGINT = 9_223_372_036_854_775_807
LONGEST_LINE = 255  # characters, as wide as the narrowest title column
LONGEST_TEXT = 50_000  # characters: some thirty pages
DEEPEST = 32  # levels of a document; those of the existing application have five
MOST_VALUES = 20_000  # of a document: a trip of a year, hour by hour


def require_storable(text: str) -> str:
    """Refuse a text that PostgreSQL does not store.

    Raises:
        ValueError: it holds the character NUL, or half of a surrogate pair.
    """
    if "\x00" in text:
        raise ValueError("The character NUL cannot be stored: leave it out.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("Half of a surrogate pair cannot be stored: send the whole character.")
    return text


def require_storable_document(document: dict[str, Any]) -> dict[str, Any]:
    """Refuse a document that PostgreSQL does not store, or that nobody could read.

    Raises:
        ValueError: it is too deep or has too many values, or a text or number in it cannot be
            stored.
    """
    level: list[Any] = [document]
    seen = 0
    depth = 0
    while level:
        depth += 1
        seen += len(level)
        if depth > DEEPEST:
            raise ValueError(f"It is nested more than {DEEPEST} levels deep.")
        if seen > MOST_VALUES:
            raise ValueError(f"It has more than {MOST_VALUES:,} values.")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                for key in value:
                    require_storable(key)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str):
                require_storable(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("A number in it is larger than can be computed with.")
        level = below
    return document


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_LINE),
    AfterValidator(require_storable),
]
Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(require_storable),
]
Document = Annotated[dict[str, Any], AfterValidator(require_storable_document)]
IntegerKey = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
BigintKey = Annotated[int, Field(ge=1, le=LARGEST_BIGINT)]
