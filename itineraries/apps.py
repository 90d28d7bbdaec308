"""The app `itineraries`."""

from __future__ import annotations

from django.apps import AppConfig


class ItinerariesConfig(AppConfig):
    """Planned trips, on the table `travel_itineraries`."""

    name = "itineraries"
    verbose_name = "Itineraries"
