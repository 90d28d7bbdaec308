"""What a refusal says to the customer, in one or two sentences."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from usage.admission import Reason
from usage.errors import InvalidGateError
from usage.features import Per

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage.admission import Admission
    from usage.features import Feature

# The fields of a `limit_message_template`, and a value of each to try a template with.
TEMPLATE_FIELDS: dict[str, Any] = {
    "feature": "pdf_exports_monthly",
    "title": "PDF exports",
    "one": "export",
    "many": "exports",
    "plan": "FREE",
    "required_plan": "PRO",
    "limit": 1,
    "used": 1,
    "asked": 1,
    "provided": 1,
    "remaining": 0,
    "resets_at": "2026-02-01T00:00:00+00:00",
}


def require_template(template: str | None) -> None:
    """Refuse a template that could not be filled in when it is needed.

    Raises:
        InvalidGateError: it has a field that there is not, or is malformed.
    """
    if template is None:
        return
    try:
        named = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise InvalidGateError(
            f"limit_message_template={template!r} cannot be read: {error}."
        ) from None
    unknown = sorted(named - TEMPLATE_FIELDS.keys())
    if unknown:
        raise InvalidGateError(
            f"limit_message_template={template!r} names {', '.join(map(repr, unknown))}. "
            f"There are: {', '.join(TEMPLATE_FIELDS)}."
        )
    try:
        template.format_map(TEMPLATE_FIELDS)
    except (ValueError, LookupError) as error:
        raise InvalidGateError(
            f"limit_message_template={template!r} cannot be filled in: {error}."
        ) from None


def fill_template(
    template: str,
    *,
    feature: Feature,
    came: Admission,
    asked: int,
    provided: int | str | None,
    required_plan: str | None,
) -> str:
    """Return what a template says of a use beyond its limit."""
    values = {
        "feature": feature.name,
        "title": feature.title,
        "one": feature.one,
        "many": feature.many,
        "plan": came.plan or "unknown",
        "required_plan": required_plan or "no plan",
        "limit": came.limit or 0,
        "used": came.used_before or 0,
        "asked": asked,
        "provided": provided or 0,
        "remaining": came.remaining or 0,
        "resets_at": came.resets_at.isoformat() if came.resets_at else "never",
    }
    return template.format_map(values)


def say_refusal(
    *,
    feature: Feature,
    came: Admission,
    asked: int,
    tiers: Sequence[str] | None,
    required_plan: str | None,
) -> str:
    """Return what the customer reads where the gate has no words of its own."""
    if came.reason is Reason.DISABLED:
        said = f"{feature.title}: not part of the plan {came.plan}."
    elif came.reason is Reason.TIER:
        words = " or ".join(tiers or ())
        said = f"{feature.title}: the plan {came.plan} gives {came.tier}, and this needs {words}."
    else:
        said = _say_limit(feature=feature, came=came, asked=asked)
    return f"{said} The plan {required_plan} has it." if required_plan else said


def _say_limit(*, feature: Feature, came: Admission, asked: int) -> str:
    limit, used = f"{came.limit:,}", f"{came.used_before or 0:,}"
    things = feature.one if came.limit == 1 else feature.many
    if came.per is Per.MONTH:
        return f"You have used {used} of {limit} {things} of this month{_more(asked)}."
    if came.per is Per.LIFETIME:
        return f"You have used {used} of {limit} {things} in all{_more(asked)}."
    if came.per is Per.ACCOUNT:
        return f"You may have {limit} {things} at a time; this would make {asked:,}."
    each = feature.of or "time"
    return f"{feature.title}: {limit} {things} for each {each}; this would make {asked:,}."


def _more(asked: int) -> str:
    return f", and this takes {asked:,}" if asked > 1 else ""
