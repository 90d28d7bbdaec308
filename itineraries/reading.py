"""Itineraries of a user, read in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itineraries.models import TravelItinerary
from itineraries.records import (
    ItineraryRecord,
    ItinerarySummary,
    itinerary_record,
    itinerary_summary,
)
from sentinel.service_errors import NotFoundError
from sentinel.web.pages import read_page

if TYPE_CHECKING:
    from sentinel.web.pages import Page


def list_itineraries(
    *, user_id: int, deleted: bool, before: int | None, limit: int
) -> Page[ItinerarySummary]:
    """Return a page of the user's itineraries, the newest first, without their documents.

    Args:
        user_id: whose.
        deleted: those that are deleted instead of the others.
        before: the `next` of the page before; None for the first.
        limit: how many at most.
    """
    itineraries = TravelItinerary.objects.filter(user_id=user_id, is_deleted=deleted)
    itineraries = itineraries.order_by("-id").defer("data")
    if before is not None:
        itineraries = itineraries.filter(pk__lt=before)
    return read_page(itineraries, limit=limit, record=itinerary_summary)


def get_itinerary(*, user_id: int, itinerary_id: int) -> ItineraryRecord:
    """Return an itinerary of the user's.

    Raises:
        NotFoundError: the user has no such itinerary, or it is deleted.
    """
    itineraries = TravelItinerary.objects.filter(is_deleted=False)
    itinerary = itineraries.filter(pk=itinerary_id, user_id=user_id).first()
    if itinerary is None:
        raise NotFoundError(f"You have no itinerary {itinerary_id}.")
    return itinerary_record(itinerary)
