"""What stands before views and services: who may pass, and what the others are answered."""

from usage.gating.callers import KEY_HEADER, LONGEST_HEADER
from usage.gating.gates import feature_limit, feature_required, feature_tier
from usage.gating.refusals import (
    FeatureDeniedError,
    GateClosedError,
    LimitUncheckedError,
    NoUserError,
    answer,
)
from usage.gating.requirements import require_use

__all__ = [
    "KEY_HEADER",
    "LONGEST_HEADER",
    "FeatureDeniedError",
    "GateClosedError",
    "LimitUncheckedError",
    "NoUserError",
    "answer",
    "feature_limit",
    "feature_required",
    "feature_tier",
    "require_use",
]
