"""Makes trips that look real, for the demo and for tests. No counter is ever written."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import factory
from django.utils import timezone
from factory.random import randgen

from itineraries.models import TravelItinerary
from sentinel.accounts.factories import UserFactory, moment_between
from sentinel.places import PLACES, Place

MOST_DESTINATIONS = 8
ALERTED_BY_SMS = 0.3
WITHIN_REACH = 9  # places among which a trip chooses
FURTHEST_DRIVE = 600  # km; beyond it people fly
PURPOSES = ("business", "holiday", "field work", "conference", "family visit")
HAZARDS = (
    "petty crime around the main station",
    "demonstrations in the centre at weekends",
    "overcrowded minibuses; no driving after dark",
    "flash floods after heavy rain",
    "checkpoints on the road: carry your passport",
)
# What the existing application has stored now and then: documents without a list of waypoints.
MALFORMED: tuple[Any, ...] = (
    {},
    {"waypoints": None, "routes": [], "metadata": {"source": "import"}},
    {"waypoints": {"name": "Baku", "country": "Azerbaijan"}, "routes": []},
    {"waypoints": "Amman; Aqaba", "metadata": {"source": "email"}},
    {"routes": [], "metadata": {"draft": True}},
    [{"name": "Lima"}, {"name": "Cusco"}],
    "Nairobi to Kampala by road",
)


def choose_route(destinations: int) -> list[Place]:
    """Return so many places, further and further away from the first."""
    if not destinations:
        return []
    start = randgen.choice(PLACES)
    near = start.nearest()[:WITHIN_REACH]
    return [start, *sorted(randgen.sample(near, destinations - 1), key=start.distance_to)]


def make_document(route: list[Place], *, now: datetime) -> dict[str, Any]:
    """Return what the existing application stores of a trip."""
    arrival = (now + timedelta(days=randgen.randint(5, 120))).date()
    waypoints = []
    for place in route:
        departure = arrival + timedelta(days=randgen.randint(1, 5))
        waypoints.append(
            {
                "name": place.name,
                "country": place.country,
                "coordinates": {"lat": place.latitude, "lng": place.longitude},
                "arrival": arrival.isoformat(),
                "departure": departure.isoformat(),
            }
        )
        arrival = departure
    legs = [(first, second, first.distance_to(second)) for first, second in pairwise(route)]
    return {
        "waypoints": waypoints,
        "routes": [
            {
                "from": first.name,
                "to": second.name,
                "mode": "road" if distance < FURTHEST_DRIVE else "air",
                "distance_km": distance,
            }
            for first, second, distance in legs
        ],
        "risk_analysis": {
            "level": randgen.choice(("low", "moderate", "elevated")),
            "hazards": randgen.sample(HAZARDS, 2) if route else [],
        },
        "metadata": {"purpose": randgen.choice(PURPOSES), "travellers": randgen.randint(1, 4)},
        "alerts_config": {"email": True, "sms": randgen.random() < ALERTED_BY_SMS, "radius_km": 50},
    }


def title_of(route: list[Place]) -> str:
    """Return a name for a trip."""
    if not route:
        return "New trip"
    if len(route) == 1:
        return f"{route[0].name}, {route[0].country}"
    return f"{route[0].name} to {route[-1].name}"


class TravelItineraryFactory(factory.django.DjangoModelFactory[TravelItinerary]):
    """A trip.

    Params:
        now: the moment from which the past is measured.
        destinations: the number of waypoints.
        malformed: the document holds no list of waypoints.
        deleted: it was thrown away.
    """

    class Meta:
        model = TravelItinerary

    class Params:
        now = factory.LazyFunction(timezone.now)
        destinations = factory.LazyFunction(lambda: randgen.randint(0, MOST_DESTINATIONS))
        route = factory.LazyAttribute(lambda trip: choose_route(trip.destinations))
        malformed = factory.Trait(
            data=factory.LazyFunction(lambda: deepcopy(randgen.choice(MALFORMED)))
        )
        deleted = factory.Trait(
            is_deleted=True,
            deleted_at=factory.LazyAttribute(
                lambda trip: moment_between(trip.created_at, trip.now)
            ),
        )

    user = factory.SubFactory(UserFactory, now=factory.SelfAttribute("..now"))
    itinerary_uuid = factory.LazyFunction(lambda: UUID(int=randgen.getrandbits(128), version=4))
    title = factory.LazyAttribute(lambda trip: title_of(trip.route))
    description = factory.LazyAttribute(
        lambda trip: ", then ".join(place.name for place in trip.route) or None
    )
    data = factory.LazyAttribute(lambda trip: make_document(trip.route, now=trip.now))
    version = factory.LazyFunction(lambda: randgen.choice((1, 1, 1, 2, 3)))
    created_at = factory.LazyAttribute(lambda trip: moment_between(trip.user.created_at, trip.now))
    updated_at = factory.SelfAttribute("created_at")
