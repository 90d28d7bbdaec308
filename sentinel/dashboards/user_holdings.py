"""What a user has beside uses: threads and itineraries, with the counts that their rows hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, Q
from django.urls import reverse

from itineraries.models import TravelItinerary
from sentinel.dashboards.rows_behind import more_in
from sentinel.dashboards.tables import Cell, Column, Kind, Table, cells
from threads.models import ChatThread

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTED = 10  # the newest; the lists of the admin have all


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """Threads and itineraries of a user.

    Attributes:
        threads: how many there are, those in the archive included and deleted ones not.
        archived_threads: how many of them are in the archive.
        newest_threads: the newest, deleted ones included.
        itineraries: how many there are that are not deleted.
        newest_itineraries: the newest, deleted ones included, without their documents.
    """

    threads: int
    archived_threads: int
    newest_threads: Sequence[ChatThread]
    itineraries: int
    newest_itineraries: Sequence[TravelItinerary]


def find_holdings(*, user_id: int) -> Holdings:
    """Read what a user has, in four queries by the indexes of the user's rows."""
    threads = ChatThread.objects.filter(user_id=user_id)
    itineraries = TravelItinerary.objects.filter(user_id=user_id)
    there = ~Q(is_deleted=True)  # NULL says no
    counted = threads.filter(there).aggregate(
        all=Count("pk"), archived=Count("pk", filter=Q(is_archived=True))
    )
    return Holdings(
        threads=counted["all"],
        archived_threads=counted["archived"],
        newest_threads=list(threads.order_by("-created_at")[:LISTED]),
        itineraries=itineraries.filter(is_deleted=False).count(),
        newest_itineraries=list(itineraries.order_by("-created_at").defer("data")[:LISTED]),
    )


def threads_table(holdings: Holdings, *, user_id: int) -> Table:
    """Return the newest threads with their messages."""
    return Table(
        slug="threads",
        title="Threads",
        columns=(
            Column(title="Thread"),
            Column(title="Messages", kind=Kind.NUMBER),
            Column(title="State"),
            Column(title="Begun", kind=Kind.MOMENT),
        ),
        rows=[
            cells(
                Cell(
                    value=thread.title or f"thread {thread.pk}",
                    href=reverse("admin:threads_chatthread_change", args=[thread.pk]),
                ),
                thread.thread_messages_count,
                _state(deleted=thread.is_deleted, archived=thread.is_archived),
                thread.created_at,
            )
            for thread in holdings.newest_threads
        ],
        empty="No thread yet.",
        more=more_in("threads_chatthread", user_id=user_id),
    )


def itineraries_table(holdings: Holdings, *, user_id: int) -> Table:
    """Return the newest itineraries with their destinations."""
    return Table(
        slug="itineraries",
        title="Itineraries",
        columns=(
            Column(title="Itinerary"),
            Column(title="Destinations", kind=Kind.NUMBER),
            Column(title="State"),
            Column(title="Made", kind=Kind.MOMENT),
        ),
        rows=[
            cells(
                Cell(
                    value=str(trip),
                    href=reverse("admin:itineraries_travelitinerary_change", args=[trip.pk]),
                ),
                trip.destinations_count,
                _state(deleted=trip.is_deleted, archived=False),
                trip.created_at,
            )
            for trip in holdings.newest_itineraries
        ],
        empty="No itinerary yet.",
        more=more_in("itineraries_travelitinerary", user_id=user_id),
    )


def _state(*, deleted: bool | None, archived: bool | None) -> str:
    return "deleted" if deleted else "archived" if archived else "active"
