"""What the admin's pages are narrowed down by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

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
