"""Itineraries over HTTP."""

from typing import Any

from ninja import Router, Schema, Status
from pydantic import Field

from itineraries import reading, services
from itineraries.records import ItineraryRecord, ItinerarySummary
from sentinel.web.answers import ALWAYS, WITH_BODY, Problem
from sentinel.web.fields import LARGEST_INTEGER, BigintKey, Document, Line, Text
from sentinel.web.pages import USUAL_ROWS, Page, PageSize
from sentinel.web.requests import CustomerRequest
from usage.answers import Refused

router = Router(tags=["itineraries"])

MISSING: dict[int, Any] = {404: Problem}
REFUSED: dict[int, Any] = WITH_BODY | {403: Refused | Problem, 409: Problem}


class ItineraryBody(Schema):
    """An itinerary that is to be stored."""

    title: Line
    description: Text | None = None
    data: Document = Field(
        description="The document. Its destinations are the elements of the list `waypoints`."
    )


class SavedItineraryBody(ItineraryBody):
    """An itinerary that takes the place of the stored one."""

    version: int = Field(
        ge=1, lt=LARGEST_INTEGER, description="The version that you read and changed."
    )


class ItineraryPage(Schema):
    """A page of itineraries, the newest first; `next` is the `before` of the page that follows."""

    items: list[ItinerarySummary]
    next: int | None


@router.get("", response={200: ItineraryPage} | ALWAYS, operation_id="list_itineraries")
def list_itineraries(
    request: CustomerRequest,
    *,
    deleted: bool = False,
    before: BigintKey | None = None,
    limit: PageSize = USUAL_ROWS,
) -> Page[ItinerarySummary]:
    """List your itineraries, without their documents."""
    return reading.list_itineraries(
        user_id=request.user.pk, deleted=deleted, before=before, limit=limit
    )


@router.post("", response={201: ItineraryRecord} | REFUSED, operation_id="create_itinerary")
def create_itinerary(request: CustomerRequest, body: ItineraryBody) -> Status[ItineraryRecord]:
    """Store a new itinerary, if your plan allows so many destinations."""
    made = services.create_itinerary(
        user_id=request.user.pk, title=body.title, description=body.description, data=body.data
    )
    return Status(201, made)


@router.get(
    "/{itinerary_id}",
    response={200: ItineraryRecord} | ALWAYS | MISSING,
    operation_id="get_itinerary",
)
def get_itinerary(request: CustomerRequest, itinerary_id: BigintKey) -> ItineraryRecord:
    """Read an itinerary of yours."""
    return reading.get_itinerary(user_id=request.user.pk, itinerary_id=itinerary_id)


@router.put(
    "/{itinerary_id}",
    response={200: ItineraryRecord} | REFUSED | MISSING,
    operation_id="save_itinerary",
)
def save_itinerary(
    request: CustomerRequest, itinerary_id: BigintKey, body: SavedItineraryBody
) -> ItineraryRecord:
    """Replace an itinerary, if nobody else did since you read it and your plan allows it."""
    return services.save_itinerary(
        user_id=request.user.pk,
        itinerary_id=itinerary_id,
        version=body.version,
        title=body.title,
        description=body.description,
        data=body.data,
    )


@router.delete(
    "/{itinerary_id}", response={204: None} | WITH_BODY | MISSING, operation_id="delete_itinerary"
)
def delete_itinerary(request: CustomerRequest, itinerary_id: BigintKey) -> Status[None]:
    """Delete an itinerary. It can be restored."""
    services.delete_itinerary(user_id=request.user.pk, itinerary_id=itinerary_id)
    return Status(204, None)


@router.post(
    "/{itinerary_id}/restore",
    response={200: ItineraryRecord} | WITH_BODY | MISSING,
    operation_id="restore_itinerary",
)
def restore_itinerary(request: CustomerRequest, itinerary_id: BigintKey) -> ItineraryRecord:
    """Take a deletion back."""
    return services.restore_itinerary(user_id=request.user.pk, itinerary_id=itinerary_id)
