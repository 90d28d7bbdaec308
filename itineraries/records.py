"""Itineraries as services return them: what was true in their transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from itineraries.models import TravelItinerary


@dataclass(frozen=True, kw_only=True)
class ItinerarySummary:
    """An itinerary without its document, as lists show it.

    Attributes:
        id, uuid, title, description: as stored.
        destinations: how many, from the counter.
        version: how often it was saved; who saves it again says which one was read.
        created_at, updated_at: moments.
    """

    id: int
    uuid: UUID
    title: str | None
    description: str | None
    destinations: int
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class ItineraryRecord(ItinerarySummary):
    """An itinerary.

    Attributes:
        data: its document: an object, unless the existing application stored something else.
    """

    data: Any


def itinerary_summary(itinerary: TravelItinerary) -> ItinerarySummary:
    """Return what a row says, without its document."""
    return ItinerarySummary(
        id=itinerary.pk,
        uuid=itinerary.itinerary_uuid,
        title=itinerary.title,
        description=itinerary.description,
        destinations=itinerary.destinations_count,
        version=itinerary.version,
        created_at=itinerary.created_at,
        updated_at=itinerary.updated_at,
    )


def itinerary_record(itinerary: TravelItinerary) -> ItineraryRecord:
    """Return what a row says."""
    return ItineraryRecord(**vars(itinerary_summary(itinerary)), data=itinerary.data)
