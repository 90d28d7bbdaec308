"""Planned trips, on the table of the deployed system, column by column."""

from __future__ import annotations

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from sentinel.accounts.models import User
from sentinel.counters import DerivedCounter, json_array_length


class TravelItinerary(models.Model):
    """A trip of a customer.

    `data` is a document of the existing application: an object with `waypoints`, `routes`,
    `risk_analysis`, `metadata` and `alerts_config`, where all is well. Any of them may be missing
    or of another kind, and the document itself may be no object.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        db_index=False,  # idx_itineraries_user_active, below
        related_name="itineraries",
    )
    itinerary_uuid = models.UUIDField(unique=True, blank=True, db_default=RandomUUID())
    title = models.CharField(max_length=255, null=True, blank=True)
    description = models.TextField(null=True, blank=True)
    data = models.JSONField(blank=True)  # an empty object is a document too
    created_at = models.DateTimeField(blank=True, db_default=Now())
    updated_at = models.DateTimeField(blank=True, db_default=Now())
    is_deleted = models.BooleanField("deleted", blank=True, db_default=False)
    deleted_at = models.DateTimeField(null=True, blank=True)
    version = models.IntegerField(blank=True, db_default=1)
    last_alert_sent_at = models.DateTimeField(null=True, blank=True)
    alerts_sent_count = models.IntegerField(null=True, blank=True, db_default=0)
    destinations_count = models.IntegerField("destinations", blank=True, db_default=0)

    class Meta:
        db_table = "travel_itineraries"
        ordering = ("-id",)
        verbose_name_plural = "travel itineraries"
        indexes = (
            models.Index(
                fields=["user", "-created_at"],
                name="idx_itineraries_user_created",
                condition=Q(is_deleted=False),
            ),
            models.Index(
                fields=["itinerary_uuid"],
                name="idx_itineraries_uuid",
                condition=Q(is_deleted=False),
            ),
            models.Index(
                fields=["user"],
                name="idx_itineraries_user_active",
                condition=Q(is_deleted=False),
            ),
            # and idx_travel_itineraries_destinations_count, in migration 0002: too long for Django
        )
        triggers = DerivedCounter(
            column="destinations_count", expression=json_array_length("data", "waypoints")
        ).triggers()

    def __str__(self) -> str:
        return self.title or f"itinerary {self.pk}"
