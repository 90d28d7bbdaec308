"""The admin's pages of itineraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin

from itineraries.models import TravelItinerary
from sentinel.accounts.admin import RecordAdmin
from sentinel.accounts.forms import IndentedJSONField

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest


class ItineraryForm(forms.ModelForm):  # type: ignore[type-arg]
    """An itinerary, whose document may be an empty one but not missing."""

    data = IndentedJSONField()  # type: ignore[assignment]  # taken from the class by Django


@admin.register(TravelItinerary)
class TravelItineraryAdmin(RecordAdmin):
    """Itineraries, with their documents and the number of their destinations."""

    form = ItineraryForm
    list_display = ("__str__", "destinations_count", "user", "is_deleted", "created_at")
    list_select_related = ("user",)
    list_filter = ("is_deleted", "created_at")
    search_fields = ("title", "user__email", "itinerary_uuid__exact")
    autocomplete_fields = ("user",)
    readonly_fields = (
        "destinations_count",
        "itinerary_uuid",
        "alerts_sent_count",
        "last_alert_sent_at",
        "created_at",
        "updated_at",
    )
    add_fields = ("user", "title", "description", "data")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TravelItinerary]:
        """Leave the documents in the database: a list shows none, and they are long."""
        return super().get_queryset(request).defer("data")
