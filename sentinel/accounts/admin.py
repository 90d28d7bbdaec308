"""The admin's pages of accounts, and what all of its pages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import models
from unfold.widgets import UnfoldAdminTextInputWidget

from sentinel.accounts.forms import (
    DOCUMENT_AREA,
    IndentedJSONField,
    UserAddForm,
    UserEditForm,
    UserPasswordForm,
)
from sentinel.accounts.models import Plan, User, UserUsage
from sentinel.long_lists import LongListAdmin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django import forms
    from django.http import HttpRequest

VIEW_EMAILS = "dashboards.view_emails"
ONE_LINE: dict[Any, dict[str, Any]] = {models.TextField: {"widget": UnfoldAdminTextInputWidget}}


class RecordAdmin(LongListAdmin):
    """Pages of a table that is large, has defaults of its own, and has other writers than us."""

    formfield_overrides = {  # noqa: RUF012
        models.JSONField: {"form_class": IndentedJSONField, "widget": DOCUMENT_AREA}
    }

    #: What the form for a new record asks for. The rest is left to the database's defaults, which
    #: an empty field of the form would override.
    add_fields: Sequence[str] = ()

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Return `add_fields` for a new record, all fields for one that exists."""
        return self.add_fields if obj is None else super().get_fields(request, obj)

    def formfield_for_dbfield(
        self, db_field: models.Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Keep NULL where a text field stays empty: Django would store an empty string."""
        if isinstance(db_field, models.TextField) and db_field.null:
            kwargs["empty_value"] = None
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(
        self,
        request: HttpRequest,
        obj: models.Model,
        form: forms.ModelForm[Any],
        change: bool,  # noqa: FBT001 (Django's signature)
    ) -> None:
        """Write only what was changed in the form.

        Saving every column would put back what others wrote since the page was read.
        """
        if not change:
            super().save_model(request, obj, form, change)
            return
        columns = {field.name for field in self.opts.concrete_fields}
        obj.save(update_fields=columns.intersection(form.changed_data))


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, LongListAdmin):
    """Groups of staff, and what each may do."""


@admin.register(Plan)
class PlanAdmin(RecordAdmin):
    """Plans, and what they cost."""

    list_display = ("name", "price", "chat_messages_per_month")
    search_fields = ("name",)
    readonly_fields = ("created_at",)
    add_fields = ("name", "price_cents", "chat_messages_per_month")
    formfield_overrides = RecordAdmin.formfield_overrides | ONE_LINE

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Fix the name of a plan that exists: it is the key, and users refer to it."""
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else ("name", *fields)

    @admin.display(description="price a month", ordering="price_cents")
    def price(self, plan: Plan) -> str:
        """Return the price in dollars."""
        return f"${plan.price_cents / 100:,.2f}"


@admin.register(User)
class UserAdmin(RecordAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """Customers and staff."""

    form = UserEditForm
    add_form = UserAddForm
    change_password_form = UserPasswordForm
    list_display = (
        "__str__",
        "email",
        "plan",
        "is_trial",
        "is_active",
        "is_staff",
        "created_at",
    )
    list_filter = ("plan", "is_trial", "is_active", "is_staff", "is_superuser")
    list_select_related = ("plan",)
    search_fields = ("email", "name", "employer")
    ordering = ("-id",)
    readonly_fields = (
        "lifetime_chat_messages",
        "lifetime_travel_assessments",
        "lifetime_map_views",
        "last_login",
        "created_at",
        "updated_at",
    )
    formfield_overrides = RecordAdmin.formfield_overrides | ONE_LINE
    fieldsets = (
        (None, {"fields": ("email", "password", "name", "employer", "email_verified")}),
        (
            "Plan",
            {
                "fields": (
                    "plan",
                    "is_trial",
                    "trial_started_at",
                    "trial_ends_at",
                    "stripe_customer_id",
                    "stripe_subscription_id",
                )
            },
        ),
        (
            "Lifetime usage",
            {
                "fields": (
                    "lifetime_chat_messages",
                    "lifetime_travel_assessments",
                    "lifetime_map_views",
                )
            },
        ),
        (
            "Preferences",
            {
                "fields": (
                    "preferred_region",
                    "preferred_threat_type",
                    "home_location",
                    "extra_details",
                )
            },
        ),
        (
            "Permissions",
            {
                "fields": (
                    "is_active",
                    "is_admin",
                    "is_staff",
                    "is_superuser",
                    "groups",
                    "user_permissions",
                )
            },
        ),
        ("Dates", {"fields": ("last_login", "created_at", "updated_at")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "usable_password", "password1", "password2"),
            },
        ),
    )

    def get_list_display(self, request: HttpRequest) -> Any:
        """Leave the emails out for those who may not see them."""
        columns = super().get_list_display(request)
        return columns if _may_see_emails(request) else [*filter("email".__ne__, columns)]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Leave the email out for those who may not see it."""
        fieldsets = super().get_fieldsets(request, obj)
        if _may_see_emails(request):
            return fieldsets
        return [
            (title, options | {"fields": [*filter("email".__ne__, options["fields"])]})
            for title, options in fieldsets
        ]


@admin.register(UserUsage)
class UserUsageAdmin(RecordAdmin):
    """Chat messages of the month."""

    list_display = ("user", "chat_messages_used", "chat_messages_limit", "last_reset")
    list_select_related = ("user",)
    list_filter = ("last_reset",)
    search_fields = ("user__email", "email")
    autocomplete_fields = ("user",)
    readonly_fields = ("chat_messages_used", "created_at", "updated_at")
    add_fields = ("user", "email")
    formfield_overrides = RecordAdmin.formfield_overrides | ONE_LINE

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Leave the email out for those who may not see it."""
        fields = super().get_fields(request, obj)
        return fields if _may_see_emails(request) else [*filter("email".__ne__, fields)]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        """Fix the user of a row that exists: it is the key."""
        fields = super().get_readonly_fields(request, obj)
        return fields if obj is None else ("user", *fields)


def _may_see_emails(request: HttpRequest) -> bool:
    """Tell whether somebody may see emails: by a permission of its own, or since they edit them."""
    return request.user.has_perm(VIEW_EMAILS) or request.user.has_perm("accounts.change_user")
