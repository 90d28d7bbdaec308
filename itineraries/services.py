"""Changes of itineraries, within the limits of the user's plan.

Each is one transaction, and locks in this order: the month's row of the user's usage, the
itinerary. The destinations of an itinerary are those of the document that is saved, so no other
row is compared, and nothing can come between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from itineraries.models import TravelItinerary
from itineraries.records import ItineraryRecord, itinerary_record
from sentinel.retries import retry_transaction
from sentinel.service_errors import ConflictError, NotFoundError
from usage.gating import require_use

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@retry_transaction
@transaction.atomic
def create_itinerary(
    *,
    user_id: int,
    title: str,
    data: Mapping[str, Any],
    description: str | None = None,
    now: datetime | None = None,
) -> ItineraryRecord:
    """Store a new itinerary, if the plan allows so many destinations.

    It is recorded as a use of `trip_planner_destinations`, unless it has none.

    Args:
        user_id: whose.
        title: a line of 255 characters at most.
        data: the document.
        description: a text.
        now: the moment at which the plan counts, with a time zone; None for the transaction's.

    Raises:
        FeatureDeniedError: the plan allows fewer destinations.
    """
    _require_destinations(user_id=user_id, data=data, now=now)
    itinerary = TravelItinerary.objects.create(
        user_id=user_id, title=title, description=description, data=data
    )
    return _stored(itinerary)


@retry_transaction
@transaction.atomic
def save_itinerary(
    *,
    user_id: int,
    itinerary_id: int,
    version: int,
    title: str,
    data: Mapping[str, Any],
    description: str | None = None,
    now: datetime | None = None,
) -> ItineraryRecord:
    """Replace an itinerary, if nobody else did since it was read and the plan allows it.

    Args:
        user_id: whose itinerary it is.
        itinerary_id: the itinerary.
        version: that which was read. The stored one is one higher afterwards.
        title: a line of 255 characters at most.
        data: the document.
        description: a text.
        now: the moment at which the plan counts, with a time zone; None for the transaction's.

    Raises:
        FeatureDeniedError: the plan allows fewer destinations.
        NotFoundError: the user has no such itinerary, or it is deleted.
        ConflictError: it has another version by now.
    """
    _require_destinations(user_id=user_id, data=data, now=now)
    itinerary = _lock_itinerary(user_id=user_id, itinerary_id=itinerary_id)
    if itinerary.version != version:
        raise ConflictError(
            f"Itinerary {itinerary_id} has version {itinerary.version} by now, not {version}: "
            "read it again, and save your changes to that."
        )
    itinerary.title = title
    itinerary.description = description
    itinerary.data = data
    itinerary.version = version + 1
    itinerary.save(update_fields=["title", "description", "data", "version"])
    return _stored(itinerary)


@retry_transaction
@transaction.atomic
def delete_itinerary(*, user_id: int, itinerary_id: int, now: datetime | None = None) -> None:
    """Delete an itinerary so that it can be restored.

    Args:
        user_id: whose itinerary it is.
        itinerary_id: the itinerary.
        now: the moment of it, with a time zone; None for the present.

    Raises:
        NotFoundError: the user has no such itinerary, or it is deleted already.
    """
    itinerary = _lock_itinerary(user_id=user_id, itinerary_id=itinerary_id)
    itinerary.is_deleted = True
    itinerary.deleted_at = now or timezone.now()
    itinerary.save(update_fields=["is_deleted", "deleted_at"])


@retry_transaction
@transaction.atomic
def restore_itinerary(*, user_id: int, itinerary_id: int) -> ItineraryRecord:
    """Take a deletion back. An itinerary that is not deleted stays as it is.

    Its destinations are not compared with the plan: that is done when somebody saves it.

    Raises:
        NotFoundError: the user never had such an itinerary.
    """
    itinerary = _lock_itinerary(user_id=user_id, itinerary_id=itinerary_id, deleted=True)
    if itinerary.is_deleted:
        itinerary.is_deleted = False
        itinerary.deleted_at = None
        itinerary.save(update_fields=["is_deleted", "deleted_at"])
    return _stored(itinerary)


def count_destinations(data: Mapping[str, Any]) -> int:
    """Return how many destinations a document has: 0 unless its waypoints are a list."""
    waypoints = data.get("waypoints")
    return len(waypoints) if isinstance(waypoints, list) else 0


def _require_destinations(*, user_id: int, data: Mapping[str, Any], now: datetime | None) -> None:
    """Compare a document with the plan. One without destinations is within any."""
    destinations = count_destinations(data)
    if destinations:
        require_use(
            user_id=user_id,
            feature="trip_planner_destinations",
            provided=destinations,
            tolerant=True,  # the limit is one of the document: the record only says it was used
            now=now,
        )


def _lock_itinerary(*, user_id: int, itinerary_id: int, deleted: bool = False) -> TravelItinerary:
    """Lock an itinerary of the user's; with `deleted` also one that is deleted."""
    itineraries = TravelItinerary.objects.select_for_update(no_key=True)
    if not deleted:
        itineraries = itineraries.filter(is_deleted=False)
    itinerary = itineraries.filter(pk=itinerary_id, user_id=user_id).first()
    if itinerary is None:
        raise NotFoundError(f"You have no itinerary {itinerary_id}.")
    return itinerary


def _stored(itinerary: TravelItinerary) -> ItineraryRecord:
    """Read what the database made of a row: its triggers set the counter and `updated_at`."""
    itinerary.refresh_from_db(fields=["destinations_count", "updated_at"])
    return itinerary_record(itinerary)
