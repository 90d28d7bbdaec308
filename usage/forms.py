"""Forms of the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
)

from usage.features import FEATURES
from usage.models import FeatureUsage, FeatureUsageEvent


class FeatureChoice(forms.ChoiceField):
    """One of the features that are declared."""

    def __init__(self, **kwargs: Any) -> None:
        names = [(feature.name, f"{feature.title} ({feature.name})") for feature in FEATURES]
        super().__init__(
            choices=[("", "Choose a feature"), *names], widget=UnfoldAdminSelectWidget, **kwargs
        )


class LimitLineForm(forms.ModelForm):  # type: ignore[type-arg]
    """A line of the price list, edited in the list: there are no labels beside its fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            of = f"{self.instance.feature}, {self.instance.plan_id}"
            field.widget.attrs["aria-label"] = f"{field.label} of {of}"


class CorrectionForm(forms.ModelForm):  # type: ignore[type-arg]
    """An event that corrects a month, up or down, with the reason."""

    occurred_at = forms.SplitDateTimeField(
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="It counts in this month, in UTC. Empty: now.",
    )
    reason = forms.CharField(
        widget=UnfoldAdminTextInputWidget, help_text="Counts of a lifetime stay as they are."
    )

    class Meta:
        model = FeatureUsageEvent
        fields = ("user", "feature", "quantity", "occurred_at", "reason")

    def clean_quantity(self) -> int:
        """Refuse a correction that corrects nothing."""
        quantity: int = self.cleaned_data["quantity"]
        if quantity == 0:
            raise ValidationError("A correction by 0 corrects nothing.")
        return quantity

    def clean_occurred_at(self) -> datetime:
        """Return the moment, now where none is given."""
        given: datetime | None = self.cleaned_data["occurred_at"]
        return given or timezone.now()

    def clean(self) -> dict[str, Any]:
        """Refuse to give back more than the month holds."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if values.keys() >= {"user", "feature", "quantity", "occurred_at"}:
            month = values["occurred_at"].astimezone(UTC).date().replace(day=1)
            row = FeatureUsage.objects.filter(
                user=values["user"], feature=values["feature"], period_start=month
            ).first()
            used = (row and row.usage_count) or 0
            if used + values["quantity"] < 0:
                self.add_error(
                    "quantity", f"{used} were used in {month:%B %Y}: no more can be given back."
                )
        return values
