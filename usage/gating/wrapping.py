"""Puts a gate around views and services, sync or async, functions or classes."""

from __future__ import annotations

import inspect
import logging
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.views.generic import View

from usage.errors import InvalidGateError
from usage.gating.callers import read_call, read_key, require_amount, require_user_id
from usage.gating.checks import Gate, give_back, pass_gate
from usage.gating.refusals import GateClosedError, NoUserError, answer
from usage.gating.settings import read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage.gating.callers import Call

logger = logging.getLogger(__name__)

Gated = TypeVar("Gated", bound="Callable[..., Any]")


def put_gate(gate: Gate, gated: Gated) -> Gated:
    """Return what is gated with the gate around it. A class of views is changed in its place.

    Raises:
        InvalidGateError: it is a class of something else, a generator, or cannot be called.
    """
    if isinstance(gated, type):
        if not issubclass(gated, View):
            raise InvalidGateError(
                f"{gated.__qualname__} is no class of views: put the gate around its methods."
            )
        gated.dispatch = put_gate(gate, gated.dispatch)  # type: ignore[method-assign]
        return gated
    if not callable(gated):
        raise InvalidGateError(f"{gated!r} cannot be called: put the gate around a function.")
    if inspect.isgeneratorfunction(gated) or inspect.isasyncgenfunction(gated):
        raise InvalidGateError(
            f"{gated.__qualname__} is a generator, which runs after the gate: put the gate around "
            "what calls it."
        )

    if iscoroutinefunction(gated):

        @wraps(gated)
        async def run_async(*arguments: Any, **keywords: Any) -> Any:
            return await _run_async(gate, gated, arguments, keywords)

        return cast("Gated", run_async)

    @wraps(gated)
    def run(*arguments: Any, **keywords: Any) -> Any:
        if _is_in_async_view(gated, arguments):
            return _run_async(gate, gated, arguments, keywords)
        return _run(gate, gated, arguments, keywords)

    return cast("Gated", run)


def _is_in_async_view(gated: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
    """Tell whether it is the `dispatch` of an async class of views: no coroutine function itself.

    Its view is the first argument or, by `method_decorator`, bound into a partial.
    """
    bound_to = getattr(getattr(gated, "func", None), "__self__", None)
    owners = (*arguments[:1], bound_to)
    return any(isinstance(owner, View) and owner.view_is_async for owner in owners)


def _run(
    gate: Gate, gated: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    call = read_call(gated, arguments, keywords)
    try:
        event_id = _enter(gate, call)
    except GateClosedError as error:
        if call.request is None:
            raise
        return answer(error)
    try:
        result = gated(*arguments, **keywords)
    except BaseException as error:
        give_back(gate, event_id=event_id, reason=_say_raised(error))
        raise
    if failed := _say_failed(result):
        give_back(gate, event_id=event_id, reason=failed)
    return result


async def _run_async(
    gate: Gate, gated: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    call = read_call(gated, arguments, keywords)
    try:
        event_id = await _enter_async(gate, call)
    except GateClosedError as error:
        if call.request is None:
            raise
        return answer(error)
    try:
        result = gated(*arguments, **keywords)
        if inspect.isawaitable(result):
            result = await result
    except BaseException as error:
        await sync_to_async(give_back)(gate, event_id=event_id, reason=_say_raised(error))
        raise
    if failed := _say_failed(result):
        await sync_to_async(give_back)(gate, event_id=event_id, reason=failed)
    return result


def _enter(gate: Gate, call: Call) -> int | None:
    """Return the event of a use that is let through; None where nothing was recorded.

    Raises:
        GateClosedError: it is not let through.
    """
    user_id = _identify(gate, call)
    if user_id is None:
        return None
    asked = None
    if gate.usage_getter is not None:
        asked = require_amount(gate.usage_getter(*call.arguments, **call.keywords))
    return _pass(gate, call, user_id=user_id, asked=asked)


async def _enter_async(gate: Gate, call: Call) -> int | None:
    # The user is loaded by auser(), which remembers it for the view's own.
    load_user = getattr(call.request, "auser", None)
    signed_in = await load_user() if load_user else None
    user_id = await sync_to_async(_identify)(gate, call, signed_in=signed_in)
    if user_id is None:
        return None
    asked = None
    if gate.usage_getter is not None:
        ask = gate.usage_getter
        if not iscoroutinefunction(ask):
            ask = sync_to_async(ask)
        asked = require_amount(await ask(*call.arguments, **call.keywords))
    return await sync_to_async(_pass)(gate, call, user_id=user_id, asked=asked)


def _identify(gate: Gate, call: Call, *, signed_in: Any = None) -> int | None:
    """Return whose plan counts; in shadow mode None where nobody has signed in.

    Raises:
        NoUserError: nobody has signed in.
    """
    try:
        return require_user_id(call, signed_in=signed_in)
    except NoUserError:
        if not read_gate_settings().shadow:
            raise
    told = {"feature": gate.feature.name, "user_id": None, "reason": "no user", "shadow": True}
    logger.info("feature_denied", extra=told)
    return None


def _pass(gate: Gate, call: Call, *, user_id: int, asked: int | None) -> int | None:
    key = read_key(call, feature=gate.feature.name)
    return pass_gate(gate, user_id=user_id, asked=asked, key=key)


def _say_raised(error: BaseException) -> str:
    return f"raised {type(error).__name__}"


def _say_failed(result: Any) -> str | None:
    """Return what is wrong with an answer. What a service returns has no status: it is fine."""
    status = getattr(result, "status_code", None)
    if isinstance(status, int) and status >= HTTPStatus.BAD_REQUEST:
        return f"answered {status}"
    return None
