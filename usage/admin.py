"""The admin's pages of limits and usage. Limits are edited; what was counted is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from sentinel.accounts.admin import ONE_LINE, RecordAdmin
from sentinel.counters.admin import ReadOnlyAdmin
from usage.archiving import admin as archive_admin  # noqa: F401 (its pages)
from usage.filters import FeatureFilter, PlanFilter
from usage.forms import CorrectionForm, FeatureChoice, LimitLineForm
from usage.gating.models import FeatureRefusal
from usage.limit_models import LimitOverride, PlanLimit, PlanTrial
from usage.models import FeatureUsage, FeatureUsageEvent

if TYPE_CHECKING:
    from django import forms
    from django.db import models
    from django.http import HttpRequest


class UsageAdmin(RecordAdmin):
    """Pages of rows whose key is chosen once, a feature among those that are declared."""

    formfield_overrides = RecordAdmin.formfield_overrides | ONE_LINE
    fixed_fields: tuple[str, ...] = ()  # the row's key: chosen once

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Offer the features that are declared."""
        if db_field.name == "feature":
            return FeatureChoice()
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Fix the key of a row that exists."""
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else (*self.fixed_fields, *fields)


@admin.register(PlanLimit)
class PlanLimitAdmin(UsageAdmin):
    """The price list, edited in place."""

    list_display = ("feature", "plan", "usage_limit", "per", "tier")
    list_editable = ("usage_limit", "per", "tier")
    list_select_related = ("plan",)
    list_filter = ("plan", FeatureFilter)
    list_per_page = 150  # all of it, and fewer fields than a request may have
    search_fields = ("feature",)
    ordering = ("feature", "plan__price_cents")
    fixed_fields = ("feature", "plan")
    add_fields = ("feature", "plan", "usage_limit", "per", "tier")

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Name the fields of each line."""
        return super().get_changelist_form(request, form=LimitLineForm, **kwargs)


@admin.register(LimitOverride)
class LimitOverrideAdmin(UsageAdmin):
    """What single users are allowed, the newest first."""

    list_display = ("user", "feature", "usage_limit", "per", "tier", "until", "reason")
    list_select_related = ("user",)
    list_filter = (FeatureFilter, "until")
    search_fields = ("user__email",)
    autocomplete_fields = ("user",)
    readonly_fields = ("created_at",)
    fixed_fields = ("user", "feature")
    add_fields = ("user", "feature", "usage_limit", "per", "tier", "until", "reason")


@admin.register(PlanTrial)
class PlanTrialAdmin(UsageAdmin):
    """How long plans may be tried."""

    list_display = ("plan", "days")
    list_select_related = ("plan",)
    fixed_fields = ("plan",)
    add_fields = ("plan", "days")


class CountedAdmin(UsageAdmin):
    """Pages of what was counted: nobody changes it, and it goes only when its user goes."""

    list_select_related = ("user",)
    search_fields = ("user__email",)

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: models.Model | None = None,  # noqa: ARG002
    ) -> bool:
        """Nobody may."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Nobody may on these pages. On those of users the admin asks as well."""
        match = request.resolver_match
        page = f"{self.opts.app_label}_{self.opts.model_name}_"
        elsewhere = match is not None and not (match.url_name or "").startswith(page)
        return elsewhere and super().has_delete_permission(request, obj)


@admin.register(FeatureUsage)
class FeatureUsageAdmin(CountedAdmin):
    """What was used in each month, the newest first."""

    list_display = ("user", "feature", "usage_count", "period_start", "updated_at")
    list_filter = (FeatureFilter, "user__plan", "period_start")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody may: a month is counted from events."""
        return False


@admin.register(FeatureUsageEvent)
class FeatureUsageEventAdmin(CountedAdmin):
    """The ledger, the newest first. What is added here corrects a month, and says why."""

    form = CorrectionForm
    list_display = ("user", "feature", "quantity", "occurred_at", "source", "reason")
    list_filter = (FeatureFilter, "occurred_at")
    autocomplete_fields = ("user",)
    add_fields = ("user", "feature", "quantity", "occurred_at", "reason")

    def save_model(
        self,
        request: HttpRequest,
        obj: Any,
        form: forms.ModelForm[Any],
        change: bool,  # noqa: FBT001 (Django's signature)
    ) -> None:
        """Say where the event comes from."""
        obj.source = "correction"
        super().save_model(request, obj, form, change)


@admin.register(FeatureRefusal)
class FeatureRefusalAdmin(ReadOnlyAdmin):
    """What was refused on each day, the newest first."""

    list_display = ("user_id", "feature", "plan", "refusals", "day", "last_at")
    list_filter = (FeatureFilter, PlanFilter, "day")
    search_fields = ("user_id__exact",)
    search_help_text = "The number of a user, who may be gone"
