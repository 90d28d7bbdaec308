"""Makes uses of features, and limits of single users, for the demo and for tests."""

from __future__ import annotations

import factory
from django.utils import timezone

from sentinel.accounts.factories import HISTORY, UserFactory, choose_weighted, moment_between
from usage.limit_models import LimitOverride
from usage.models import FeatureUsageEvent

# How often each feature is used, against the others.
FEATURE_WEIGHTS = {
    "chat_export_pdf": 10,
    "route_analysis": 8,
    "map_export": 7,
    "briefing_packages": 6,
    "safe_zones_overlay": 5,
    "custom_reports": 3,
    "api_access": 3,
    "analyst_access": 1,
}


class FeatureUsageEventFactory(factory.django.DjangoModelFactory[FeatureUsageEvent]):
    """One use of a feature, since the user has an account.

    Params:
        now: the moment from which the past is measured.
    """

    class Meta:
        model = FeatureUsageEvent

    class Params:
        now = factory.LazyFunction(timezone.now)

    user = factory.SubFactory(UserFactory)
    feature = factory.LazyFunction(lambda: choose_weighted(FEATURE_WEIGHTS))
    quantity = 1
    occurred_at = factory.LazyAttribute(
        lambda event: moment_between(max(event.user.created_at, event.now - HISTORY), event.now)
    )
    source = "demo"


class LimitOverrideFactory(factory.django.DjangoModelFactory[LimitOverride]):
    """A user who may save more searches than their plan allows, for good."""

    class Meta:
        model = LimitOverride

    user = factory.SubFactory(UserFactory)
    feature = "saved_searches"
    usage_limit = 25
    reason = "Agreed with their account manager."
