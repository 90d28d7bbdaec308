"""Why a gate stays closed, as an error, as JSON, and as a line of the log."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.http import JsonResponse

from usage.admission import Reason
from usage.features import COUNTED, find_feature
from usage.gating.refusal_texts import fill_template, say_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from usage.admission import Admission

logger = logging.getLogger(__name__)

# From the least to the most.
PLAN_NAMES = ("FREE", "PRO", "BUSINESS", "ENTERPRISE")
SECONDS_TO_WAIT = 1  # a queue at a lock is gone by then


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A use that the user's plan does not admit. Nothing was done and nothing was used.

    Attributes:
        error: what the customer reads.
        feature: the feature's name.
        plan: the user's plan at that moment.
        required_plan: the cheapest plan that would admit it; None where none would, and where the
            limit is the user's own.
        limit: what is allowed; 0 is nothing at all, a word is a tier.
        provided: what was used, where uses are limited, and otherwise what was asked for.
        resets_at: when a monthly limit starts anew.
    """

    error: str
    feature: str
    plan: str | None
    required_plan: str | None
    limit: int | str | None
    provided: int | str | None
    resets_at: datetime | None

    def fields(self) -> dict[str, Any]:
        """Return what the answer and the log hold."""
        return asdict(self) | {
            "feature_locked": True,
            "resets_at": self.resets_at.isoformat() if self.resets_at else None,
        }


def describe_refusal(
    *,
    feature: str,
    admission: Admission,
    asked: int | None = None,
    tiers: Sequence[str] | None = None,
    required_plan: str | None = None,
    disabled_message: str | None = None,
    limit_message_template: str | None = None,
) -> Refusal:
    """Put an admission that was refused into words.

    Args:
        feature: the feature's name.
        admission: what `use_feature` returned, with a reason.
        asked: what was given to it as `provided`; None for one use.
        tiers: the words that would do, for a tiered feature.
        required_plan: the least plan to name.
        disabled_message: what is said where the plan does not have the feature.
        limit_message_template: what is said where it would be too much. See `feature_limit`.
    """
    found = find_feature(feature)
    asked = 1 if asked is None else asked
    limit: int | str | None = admission.limit
    provided: int | str | None = admission.used_before if admission.per in COUNTED else asked
    if tiers is not None:
        limit = admission.tier if admission.reason is Reason.TIER else admission.limit
        provided = ", ".join(tiers)
    plan = _larger_plan(required_plan, admission.required_plan)
    if admission.reason is Reason.DISABLED and disabled_message is not None:
        error = disabled_message
    elif admission.reason is Reason.LIMIT and limit_message_template is not None:
        error = fill_template(
            limit_message_template,
            feature=found,
            came=admission,
            asked=asked,
            provided=provided,
            required_plan=plan,
        )
    else:
        error = say_refusal(
            feature=found, came=admission, asked=asked, tiers=tiers, required_plan=plan
        )
    return Refusal(
        error=error,
        feature=feature,
        plan=admission.plan,
        required_plan=plan,
        limit=limit,
        provided=provided,
        resets_at=admission.resets_at,
    )


def _larger_plan(named: str | None, enough: str | None) -> str | None:
    """Return the plan that a gate names, unless it would not be enough."""
    if named is None or enough not in PLAN_NAMES:
        return enough
    return max(named, enough, key=PLAN_NAMES.index)


def log_refusal(
    refusal: Refusal,
    *,
    user_id: int,
    reason: Reason | None,
    duration_ms: float,
    shadow: bool = False,
) -> None:
    """Log `feature_denied`: who, what and why, and nothing that the customer has written.

    Args:
        refusal: what was refused.
        user_id: to whom.
        reason: why.
        duration_ms: how long the decision took, in milliseconds.
        shadow: whether it would have been refused, and was not.
    """
    told = {"user_id": user_id, "reason": reason, "duration_ms": duration_ms, "shadow": shadow}
    logger.info("feature_denied", extra=refusal.fields() | told)


class GateClosedError(Exception):
    """A request that is not let through. A view answers it with `status`; see `answer`."""

    status = HTTPStatus.FORBIDDEN

    def fields(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        return {"error": str(self)}


class FeatureDeniedError(GateClosedError):
    """The user's plan does not admit it.

    Attributes:
        refusal: what was refused, and what would help.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal

    def fields(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        return self.refusal.fields()


class LimitUncheckedError(GateClosedError):
    """The database could not say what the plan admits: nothing is locked, only unknown."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class NoUserError(GateClosedError):
    """Nobody has signed in, so that there is no plan to look at."""

    status = HTTPStatus.UNAUTHORIZED


class MeaninglessUseError(GateClosedError):
    """What the request asks for, or its key, cannot be counted."""

    status = HTTPStatus.BAD_REQUEST


class UsedKeyError(GateClosedError):
    """The idempotency key has let a request through before."""

    status = HTTPStatus.CONFLICT


def answer(error: GateClosedError) -> JsonResponse:
    """Return the answer to a request that is not let through, in JSON.

    403 is a refusal of the plan, with `feature_locked`; any other status has `error` alone: 400
    asks for what cannot be counted, 401 nobody has signed in, 409 the key was used, 503 the limit
    could not be checked.
    """
    response = JsonResponse(error.fields(), status=error.status)
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(SECONDS_TO_WAIT)
    return response
