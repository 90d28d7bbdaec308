"""Metered usage: a ledger of events, months counted from it, limits that cannot be raced.

None of these modules imports a model, so that an app of Django may export them.
"""

from usage.admission import Admission, Reason, use_feature
from usage.counts import register_count
from usage.errors import (
    InvalidGateError,
    InvalidUsageError,
    UnknownEventError,
    UnknownFeatureError,
    UnknownUserError,
    UsageError,
    UsageOverflowError,
)
from usage.features import FEATURES, Feature, Kind, Per, find_feature
from usage.gating import (
    FeatureDeniedError,
    GateClosedError,
    LimitUncheckedError,
    feature_limit,
    feature_required,
    feature_tier,
)
from usage.ledger import Recorded, consume, record, refund
from usage.limits import FeatureLimit, FeatureStanding, limits_for, usage_for

__all__ = [
    "FEATURES",
    "Admission",
    "Feature",
    "FeatureDeniedError",
    "FeatureLimit",
    "FeatureStanding",
    "GateClosedError",
    "InvalidGateError",
    "InvalidUsageError",
    "Kind",
    "LimitUncheckedError",
    "Per",
    "Reason",
    "Recorded",
    "UnknownEventError",
    "UnknownFeatureError",
    "UnknownUserError",
    "UsageError",
    "UsageOverflowError",
    "consume",
    "feature_limit",
    "feature_required",
    "feature_tier",
    "find_feature",
    "limits_for",
    "record",
    "refund",
    "register_count",
    "usage_for",
    "use_feature",
]
