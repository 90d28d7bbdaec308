"""What the admin's pages are narrowed down by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from sentinel.accounts.models import Plan
from usage.features import FEATURES

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class FeatureFilter(admin.SimpleListFilter):
    """Rows of one feature. The choices are those declared: no query looks for what there is."""

    title = "feature"
    parameter_name = "feature"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the features by name and title."""
        return [(feature.name, feature.title) for feature in FEATURES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """Return the rows of the chosen feature."""
        return queryset.filter(feature=self.value()) if self.value() else queryset


class PlanFilter(admin.SimpleListFilter):
    """Rows of one plan, by its name as it was: no relation, so the plan may be gone."""

    title = "plan"
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """Return the plans of today, the cheapest first."""
        return [(name, name) for name in Plan.objects.values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        """Return the rows of the chosen plan."""
        return queryset.filter(plan=self.value()) if self.value() else queryset
