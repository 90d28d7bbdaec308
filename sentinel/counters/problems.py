"""What a health check finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(StrEnum):
    """How bad a finding is."""

    PROBLEM = "problem"  # would let a counter drift: an audit ends with exit code 1
    WARNING = "warning"  # counts stay true, but something is slow, fragile or not ours
    NOTE = "note"  # fine, and worth knowing


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that would let a counter drift, or that is worth knowing about what keeps it.

    Attributes:
        id: a short name that stays the same, such as `counters.trigger_missing`.
        subject: the trigger, function, column or index it is about.
        message: what is wrong, in a sentence.
        cure: what to do about it.
        severity: whether a counter would drift.
    """

    id: str
    subject: str
    message: str
    cure: str
    severity: Severity = Severity.PROBLEM


def serious_ones(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return those that would let a counter drift."""
    return tuple(problem for problem in problems if problem.severity is Severity.PROBLEM)
