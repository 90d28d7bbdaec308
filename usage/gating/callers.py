"""Whose call a gated function gets, and how much it asks for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

from usage.arguments import LONGEST_KEY
from usage.gating.refusals import MeaninglessUseError, NoUserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEY_HEADER = "Idempotency-Key"
# A key is stored behind the feature's name and a colon: gates of two features on one view, and the
# ledger's own keys, cannot be taken for each other.
LONGEST_FEATURE = 50
LONGEST_HEADER = LONGEST_KEY - LONGEST_FEATURE - 1


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a gated function.

    Attributes:
        arguments: what it was called with by position, without `self` in front of a request.
        keywords: what it was called with by name.
        request: the request, where it is a view; None for a service.
        function: what was called.
    """

    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    request: HttpRequest | None
    function: Callable[..., Any]


def read_call(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> Call:
    """Tell a view from a service: one of the first two arguments, or `request`, is a request."""
    for place, value in enumerate(arguments[:2]):
        if isinstance(value, HttpRequest):
            arguments = arguments[place:]
            return Call(arguments=arguments, keywords=keywords, request=value, function=function)
    named = keywords.get("request")
    request = named if isinstance(named, HttpRequest) else None
    return Call(arguments=arguments, keywords=keywords, request=request, function=function)


def require_user_id(call: Call, *, signed_in: Any = None) -> int:
    """Return the id of the user whose plan counts.

    Of a view it is the request's. Of a service it is the argument `user_id`, or else `user`, or
    else the `user` of its first argument.

    Args:
        call: which call.
        signed_in: the request's user, where it has been loaded already.

    Raises:
        NoUserError: nobody has signed in.
        TypeError: the service was called without any of these.
    """
    if call.request is not None:
        return _require_key_of(signed_in or getattr(call.request, "user", None))
    bound = inspect.signature(call.function).bind(*call.arguments, **call.keywords)
    given = {**bound.arguments, **call.keywords}
    if given.get("user_id") is not None:
        return int(given["user_id"])
    if "user" in given:
        return _require_key_of(given["user"])
    first: Any = next(iter(given.values()), None)
    if hasattr(first, "user"):
        return _require_key_of(first.user)
    name = getattr(call.function, "__qualname__", repr(call.function))
    raise TypeError(
        f"{name} is gated, but was called without a user: give it an argument user_id or user, or "
        "a first argument that has a user."
    )


def _require_key_of(user: Any) -> int:
    key = getattr(user, "pk", None)
    if key is None:
        raise NoUserError("Sign in first: what is allowed depends on your plan.")
    return int(key)


def require_amount(value: Any) -> int:
    """Return what a `usage_getter` returned.

    Raises:
        TypeError: it is no whole number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"usage_getter returned {value!r}: it must return a whole number.")
    return value


def read_key(call: Call, *, feature: str) -> str | None:
    """Return the request's idempotency key, as the ledger holds it for a feature.

    Raises:
        MeaninglessUseError: it is empty, too long, or has characters that are none.
    """
    if call.request is None:
        return None
    key = call.request.headers.get(KEY_HEADER)
    if key is None:
        return None
    if not key.isprintable() or not 1 <= len(key) <= LONGEST_HEADER:
        raise MeaninglessUseError(
            f"{KEY_HEADER}: {len(key)} characters. Send 1 to {LONGEST_HEADER} that can be printed."
        )
    return f"{feature}:{key}"
