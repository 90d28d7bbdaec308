"""Gates: decorators that let a view or a service run only where the user's plan admits it.

    @feature_limit("pdf_exports_monthly")
    def export(request): ...

A gate asks the database once, before the view: the use is compared with the limit and counted in
one statement, so that no two requests pass a limit of one. What a gate can be put around:

- a function that is a view, sync or async. It is one if a request is among its first two arguments
  or is the argument `request`; the user is the request's. Put the gate below `login_required`: one
  that finds nobody signed in answers 401.
- a method of a class of views, directly or by `method_decorator`; or the class itself, which
  gates every method of HTTP, OPTIONS included. The class is changed, not replaced.
- any other function, a service. The user is its argument `user_id`, or else `user`, or else the
  `user` of its first argument.

Where the gate stays closed, a view answers JSON (see `usage.gating.refusals.answer`) and a service
raises a `GateClosedError` with the same fields, which `usage.gating.middleware` turns into that
answer.

**Giving back.** If the view raises, or answers with a status of 400 or more, the use is given back:
by an event of its own, or, where the transaction around the view can no longer be committed, by its
rollback. Only the status counts: what fails later, in a middleware or while a response is streamed
or rendered, has been used.

**Locks.** The month's row, for features with a lifetime the user's row as well, is locked until the
use is committed: at once in autocommit, but under ATOMIC_REQUESTS, or in another transaction around
the gate, while the view runs. Other uses of the same feature by the same user wait for it.

**Failures.** A use that cannot be recorded fails no request: the log says `Failed to track feature
usage`. Whether a request goes on whose limit cannot be checked is a setting; see
`usage.gating.settings`. Errors of the database stay within the gate, other than those that end a
transaction for good, such as a statement_timeout: then the answer is 503.

**Idempotency.** A request may have the header `Idempotency-Key`, of up to 149 characters. It lets
one request through; another with the same key is answered 409, and counts nothing. To run the view
again would make the key a way past the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from usage.errors import InvalidGateError
from usage.features import Feature, Kind, find_feature
from usage.gating.checks import Gate
from usage.gating.refusal_texts import require_template
from usage.gating.refusals import PLAN_NAMES
from usage.gating.wrapping import put_gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Gated = TypeVar("Gated", bound="Callable[..., Any]")

RIGHT_GATE = {
    Kind.BOOLEAN: "feature_required",
    Kind.METERED: "feature_limit",
    Kind.TIERED: "feature_tier",
}


def feature_required(
    feature: str, required_plan: str | None = None, *, track_usage: bool = True
) -> Callable[[Gated], Gated]:
    """Let a user through whose plan has a feature that is there or not.

    Args:
        feature: its name, as declared in `usage.features`.
        required_plan: the plan that a refusal names. It binds nobody: the limits are rows. None, or
            where it would not be enough: the cheapest plan that has it.
        track_usage: whether uses are recorded.

    Raises:
        UnknownFeatureError: no feature of that name is declared.
        InvalidGateError: it has a limit or tiers, or there is no such plan.
    """
    return _decorator(
        Gate(
            feature=_find(feature, Kind.BOOLEAN),
            required_plan=_require_plan(required_plan),
            track=track_usage,
        )
    )


def feature_limit(
    feature: str,
    required_plan: str | None = None,
    *,
    usage_getter: Callable[..., Any] | None = None,
    allow_zero_usage: bool = True,
    disabled_message: str | None = None,
    limit_message_template: str | None = None,
    track_usage: bool = True,
) -> Callable[[Gated], Gated]:
    """Let a user through whose limit is not reached. A limit of 0 is a feature that is disabled.

    Args:
        feature: its name, as declared in `usage.features`.
        required_plan: see `feature_required`.
        usage_getter: is called as the view is, without `self`, and returns how many uses this
            request asks for; where the limit is for each object or for the account, how much of it
            there would be with this request. It may be async around what is async. None: 1.
        allow_zero_usage: whether a request may ask for nothing; otherwise it is answered 400. What
            is disabled is refused either way.
        disabled_message: what the customer reads where the limit is 0.
        limit_message_template: what the customer reads where it would be too much. Fields in braces
            are filled in: feature, title, one, many, plan, required_plan, limit, used, asked,
            provided, remaining, resets_at.
        track_usage: whether uses are recorded. If not, a monthly limit is compared with what was
            recorded elsewhere.

    Raises:
        UnknownFeatureError: no feature of that name is declared.
        InvalidGateError: it has no limit, there is no such plan, or the template has another field.
    """
    require_template(limit_message_template)
    return _decorator(
        Gate(
            feature=_find(feature, Kind.METERED),
            required_plan=_require_plan(required_plan),
            track=track_usage,
            usage_getter=usage_getter,
            allow_zero_usage=allow_zero_usage,
            disabled_message=disabled_message,
            limit_message_template=limit_message_template,
        )
    )


def feature_tier(
    feature: str,
    required_plan: str | None = None,
    *,
    allow_values: Sequence[str] | None = None,
    track_usage: bool = True,
) -> Callable[[Gated], Gated]:
    """Let a user through whose plan gives one of some tiers of a feature.

    Args:
        feature: its name, as declared in `usage.features`.
        required_plan: see `feature_required`.
        allow_values: the tiers that will do, each of them written: a larger tier is not taken for a
            smaller one. None: any.
        track_usage: whether uses are recorded.

    Raises:
        UnknownFeatureError: no feature of that name is declared.
        InvalidGateError: it has no tiers, or others; or there is no such plan.
    """
    found = _find(feature, Kind.TIERED)
    return _decorator(
        Gate(
            feature=found,
            required_plan=_require_plan(required_plan),
            track=track_usage,
            tiers=_require_tiers(found, allow_values),
        )
    )


def _decorator(gate: Gate) -> Callable[[Gated], Gated]:
    def decorate(gated: Gated) -> Gated:
        return put_gate(gate, gated)

    return decorate


def _find(name: str, kind: Kind) -> Feature:
    feature = find_feature(name)
    if feature.kind is not kind:
        raise InvalidGateError(
            f"{name} is {feature.kind}: put {RIGHT_GATE[feature.kind]} in front of it, not "
            f"{RIGHT_GATE[kind]}."
        )
    return feature


def _require_plan(name: str | None) -> str | None:
    if name is not None and name not in PLAN_NAMES:
        raise InvalidGateError(
            f"required_plan={name!r}: no such plan. There are: {', '.join(PLAN_NAMES)}."
        )
    return name


def _require_tiers(feature: Feature, values: Sequence[str] | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    if isinstance(values, str) or not values or not set(values) <= set(feature.tiers):
        raise InvalidGateError(
            f"allow_values={values!r}: give a tuple of one or more of {', '.join(feature.tiers)}."
        )
    return tuple(values)
