"""What services require of a plan, inside their own transaction."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from django.utils import timezone

from usage.admission import Admission, use_feature
from usage.gating.checks import TRACKING_FAILED
from usage.gating.counting import count_refusal
from usage.gating.refusals import (
    FeatureDeniedError,
    LimitUncheckedError,
    describe_refusal,
    log_refusal,
)
from usage.gating.settings import read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

logger = logging.getLogger(__name__)


def require_use(
    *,
    user_id: int,
    feature: str,
    quantity: int = 1,
    key: str | None = None,
    provided: int | None = None,
    tiers: Sequence[str] | None = None,
    track: bool = True,
    tolerant: bool = False,
    now: datetime | None = None,
) -> Admission:
    """Check a use and record it as a part of the caller's transaction, whose end decides on both.

    A gate stands before a view and gives a use back when the view fails; this stands inside a
    service, and a rollback gives it back. Settings, refusals and the log are the gates' own.

    `tolerant` lets a use that is admitted go on where only the record of it fails, with a line in
    the log. That is not for limits which are counted from the record. All the other arguments are
    those of `use_feature`.

    Raises:
        FeatureDeniedError: the plan does not admit it. In shadow mode it is only logged.
        LimitUncheckedError: where `tolerant`, the limit could not be checked, and the settings
            refuse what is not checked.
        UsageError: see `use_feature`.
    """
    settings = read_gate_settings()
    began = time.perf_counter()
    came = use_feature(
        user_id=user_id,
        feature=feature,
        quantity=quantity,
        key=key,
        provided=provided,
        tiers=tiers,
        track=track,
        enforce=not settings.shadow,
        tolerant=tolerant,
        source="service",
        now=now,
    )
    if came.error_in is not None:
        _log_failure(came, user_id=user_id, feature=feature)
    if came.error_in == "limit":
        if settings.lets_unchecked_pass:
            return came
        raise LimitUncheckedError("What your plan allows cannot be checked now: try again.")
    if came.reason is not None:
        refusal = describe_refusal(
            feature=feature,
            admission=came,
            asked=quantity if provided is None else provided,
            tiers=tiers,
        )
        log_refusal(
            refusal,
            user_id=user_id,
            reason=came.reason,
            duration_ms=(time.perf_counter() - began) * 1000,
            shadow=came.admitted,
        )
        if not came.admitted:
            count_refusal(
                user_id=user_id, feature=feature, plan=came.plan, now=now or timezone.now()
            )
            raise FeatureDeniedError(refusal)
    return came


def _log_failure(came: Admission, *, user_id: int, feature: str) -> None:
    told = {"user_id": user_id, "feature": feature, "reason": came.tracking_error}
    if came.error_in == "tracking":
        logger.warning(TRACKING_FAILED, extra=told)
    else:
        logger.error("Failed to check feature limit", extra=told)
