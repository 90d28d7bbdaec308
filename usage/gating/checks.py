"""What a gate asks the database: one question before, and giving back where it was for nothing."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from django.db import Error, OperationalError, connection, transaction
from django.utils import timezone
from psycopg.pq import TransactionStatus

from usage.admission import use_feature
from usage.arguments import LARGEST
from usage.errors import UsageError
from usage.gating.counting import count_refusal
from usage.gating.refusals import (
    FeatureDeniedError,
    LimitUncheckedError,
    MeaninglessUseError,
    UsedKeyError,
    describe_refusal,
    log_refusal,
)
from usage.gating.settings import read_gate_settings
from usage.ledger import refund

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage.admission import Admission
    from usage.features import Feature

logger = logging.getLogger(__name__)

TRACKING_FAILED = "Failed to track feature usage"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A declared gate. `usage.gating.gates` says what each of these means."""

    feature: Feature
    required_plan: str | None
    track: bool
    tiers: tuple[str, ...] | None = None
    usage_getter: Callable[..., Any] | None = None
    allow_zero_usage: bool = True
    disabled_message: str | None = None
    limit_message_template: str | None = None


def pass_gate(gate: Gate, *, user_id: int, asked: int | None, key: str | None) -> int | None:
    """Let a use through, in one round trip, and return its event in the ledger.

    Args:
        gate: which.
        user_id: whose use.
        asked: what the gate's `usage_getter` said; None for one use.
        key: an idempotency key, of this gate's feature alone.

    Returns:
        The event to give back if nothing comes of the use; None where there is nothing to give.

    Raises:
        FeatureDeniedError: the plan does not admit it.
        LimitUncheckedError: the database could not say, and the setting is to deny; or its error
            has ended the transaction around the gate, in which nothing could be done any more.
        MeaninglessUseError: so much cannot be counted.
        UsedKeyError: the key was used before.
    """
    least = 0 if gate.allow_zero_usage else 1
    if asked is not None and not least <= asked <= LARGEST:
        raise MeaninglessUseError(
            f"{gate.feature.title}: this asks for {asked or 'no'} {gate.feature.many}. "
            f"Ask for {least} or more, {LARGEST:,} at most."
        )
    settings = read_gate_settings()
    started = perf_counter()
    try:
        came = use_feature(
            user_id=user_id,
            feature=gate.feature.name,
            key=key if gate.track else None,
            provided=asked,
            tiers=gate.tiers,
            track=gate.track,
            enforce=not settings.shadow,
            tolerant=True,
            source="gate",
        )
    except (Error, UsageError) as error:
        reason = _first_line(error)
        lost = transaction_is_lost()
        connection.close_if_unusable_or_obsolete()  # so that the view can have a new one
        _report_unchecked(gate, user_id, reason, passes=settings.lets_unchecked_pass and not lost)
        return None

    if came.error_in == "limit":
        reason = came.tracking_error or ""
        _report_unchecked(gate, user_id, reason, passes=settings.lets_unchecked_pass)
        return None
    if came.error_in == "tracking":
        _log_untracked(gate, user_id, came.tracking_error or "")
    if came.reason is not None:
        _refuse(gate, came, user_id=user_id, asked=asked, started=started, shadow=settings.shadow)
    if came.duplicate and not settings.shadow:
        raise UsedKeyError(
            "This Idempotency-Key was used before: what it asked for was done then, or given back "
            "if it failed. Send a new key to ask again."
        )
    return None if came.duplicate else came.event_id


def give_back(gate: Gate, *, event_id: int | None, reason: str) -> None:
    """Give back what `pass_gate` has taken. It never fails: what could not be given back is logged.

    Where the transaction around the gate is lost, its rollback gives it back.

    Args:
        gate: which.
        event_id: what `pass_gate` returned.
        reason: what happened, for the ledger.
    """
    if event_id is None or transaction_is_lost():
        return
    try:
        try:
            _refund(event_id=event_id, reason=reason)
        except OperationalError:
            if connection.in_atomic_block:
                raise
            connection.close_if_unusable_or_obsolete()  # the view may have lost its session
            _refund(event_id=event_id, reason=reason)
    except (Error, UsageError) as error:
        logger.warning(
            "Failed to give back feature usage",
            extra={
                "feature": gate.feature.name,
                "event_id": event_id,
                "reason": _first_line(error),
            },
        )


def _refund(*, event_id: int, reason: str) -> None:
    with transaction.atomic() if connection.in_atomic_block else nullcontext():
        refund(event_id=event_id, reason=reason)


def transaction_is_lost() -> bool:
    """Tell whether the connection is in a transaction that can only be rolled back."""
    if not connection.in_atomic_block:
        return False
    session = connection.connection
    return (
        connection.needs_rollback
        or session is None
        or session.info.transaction_status in {TransactionStatus.INERROR, TransactionStatus.UNKNOWN}
    )


def _refuse(
    gate: Gate, came: Admission, *, user_id: int, asked: int | None, started: float, shadow: bool
) -> None:
    refusal = describe_refusal(
        feature=gate.feature.name,
        admission=came,
        asked=asked,
        tiers=gate.tiers,
        required_plan=gate.required_plan,
        disabled_message=gate.disabled_message,
        limit_message_template=gate.limit_message_template,
    )
    log_refusal(
        refusal,
        user_id=user_id,
        reason=came.reason,
        duration_ms=round((perf_counter() - started) * 1000, 3),
        shadow=shadow,
    )
    if not shadow:
        count_refusal(
            user_id=user_id, feature=gate.feature.name, plan=came.plan, now=timezone.now()
        )
        raise FeatureDeniedError(refusal)


def _report_unchecked(gate: Gate, user_id: int, reason: str, *, passes: bool) -> None:
    logger.error(
        "Failed to check feature limit",
        extra={
            "feature": gate.feature.name,
            "user_id": user_id,
            "reason": reason,
            "admitted": passes,
        },
    )
    if not passes:
        raise LimitUncheckedError(
            f"{gate.feature.title}: what your plan allows could not be checked. Try again."
        )
    if gate.track:
        _log_untracked(gate, user_id, reason)


def _log_untracked(gate: Gate, user_id: int, reason: str) -> None:
    logger.warning(
        TRACKING_FAILED,
        extra={"feature": gate.feature.name, "user_id": user_id, "reason": reason},
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
