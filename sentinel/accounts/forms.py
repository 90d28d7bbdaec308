"""Forms of the admin: accounts that log in by email, and documents that a person can read."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib.auth.forms import (
    ReadOnlyPasswordHashField,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
)
from django.contrib.auth.hashers import is_password_usable
from django.forms.fields import InvalidJSONInput
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextareaWidget

from sentinel.accounts.models import User

DOCUMENT_AREA = UnfoldAdminTextareaWidget(
    attrs={"rows": 12, "cols": 100, "spellcheck": "false", "dir": "auto"}
)


class IndentedJSONField(forms.JSONField):
    """A JSON document, one entry a line, in the alphabet that it was written in."""

    widget = DOCUMENT_AREA
    empty_values = [None, ""]  # noqa: RUF012 (as Django's own) an empty object is a document too

    def prepare_value(self, value: Any) -> Any:
        """Return what the text area shows. Input that is no JSON comes back as it was typed."""
        if isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False, cls=self.encoder)


class PasswordStateWidget(ReadOnlyPasswordHashWidget):
    """Tells whether there is a password, and leads to the page that changes it.

    Django's own looks the hash up among its hashers, which do not know Werkzeug's format, and the
    theme's leads nowhere.
    """

    template_name = "accounts/password_state.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """See `Widget.get_context`."""
        is_set = bool(value) and is_password_usable(value)
        context = forms.Widget.get_context(self, name, value, attrs)
        context["summary"] = [{"label": "Set" if is_set else "Not set"}]
        context["button_label"] = "Change password" if is_set else "Set password"
        return context


class UserAddForm(UserCreationForm):
    """A new account: email and password. Everything else has a default in the database."""

    class Meta:
        model = User
        fields = ("email",)
        field_classes = {"email": forms.EmailField}  # noqa: RUF012 (as Django's own forms)
        widgets = {"email": UnfoldAdminEmailInputWidget}  # noqa: RUF012


class UserEditForm(UserChangeForm):  # type: ignore[type-arg]
    """An account. Its password has a page of its own."""

    password = ReadOnlyPasswordHashField(
        widget=PasswordStateWidget,
        help_text="Stored as a hash, which the existing application verifies too.",
    )

    class Meta:
        model = User
        fields = "__all__"
        field_classes = {"email": forms.EmailField}  # noqa: RUF012 (as Django's own forms)
        widgets = {"email": UnfoldAdminEmailInputWidget}  # noqa: RUF012


class UserPasswordForm(AdminPasswordChangeForm):
    """A new password, or none. Writes that column alone.

    Computing the hash takes long enough for the existing application to count a message
    meanwhile; saving the whole row would undo it.
    """

    def set_password_and_save(self, user: User, *args: Any, **kwargs: Any) -> User:
        """See Django's `SetPasswordMixin`."""
        commit = kwargs.pop("commit", True)
        user = super().set_password_and_save(  # type: ignore[misc]  # unknown to the stubs
            user, *args, commit=False, **kwargs
        )
        if commit:
            user.save(update_fields=["password"])
        return user
