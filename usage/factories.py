"""Makes limits of single users, for the demo and for tests."""

from __future__ import annotations

import factory

from sentinel.accounts.factories import UserFactory
from usage.limit_models import LimitOverride


class LimitOverrideFactory(factory.django.DjangoModelFactory[LimitOverride]):
    """A user who may save more searches than their plan allows, for good."""

    class Meta:
        model = LimitOverride

    user = factory.SubFactory(UserFactory)
    feature = "saved_searches"
    usage_limit = 25
    reason = "Agreed with their account manager."
