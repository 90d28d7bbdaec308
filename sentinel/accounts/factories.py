"""Makes users who look real, for the demo and for tests.

What is random comes from factory-boy's generator: `seeded_random` repeats it. Only the hash of an
unusable password differs each time, as it must.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import factory
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from factory.random import get_random_state, randgen, reseed_random, set_random_state
from werkzeug.security import generate_password_hash

from sentinel.accounts.models import User, UserUsage
from sentinel.places import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EMAIL_DOMAIN = "demo.example.org"  # reserved for examples: no mail to it ever arrives
PLAN_WEIGHTS = {"FREE": 40, "PRO": 30, "BUSINESS": 20, "ENTERPRISE": 10}
HISTORY = timedelta(days=180)  # how far back the oldest account goes
NEWEST = timedelta(days=1)  # before now: time enough for a conversation since
EMPLOYED, VERIFIED = 0.7, 0.85  # shares
THREATS = ("petty crime", "civil unrest", "natural hazards", "health", "road safety")

Choice = TypeVar("Choice")


@contextmanager
def seeded_random(seed: int) -> Iterator[None]:
    """Let the factories make the same within this block each time, and go on as before after it."""
    state = get_random_state()
    reseed_random(seed)
    try:
        yield
    finally:
        set_random_state(state)


def choose_weighted(weights: Mapping[Choice, float]) -> Choice:
    """Return one of the keys, each as often as its weight says."""
    [choice] = randgen.choices(list(weights), weights=list(weights.values()))
    return choice


def moment_between(first: datetime, last: datetime) -> datetime:
    """Return a moment between two, in whole seconds; the first if the last lies before it."""
    seconds = max(0, int((last - first).total_seconds()))
    return first + timedelta(seconds=randgen.randint(0, seconds))


def email_of(user: Any, number: int) -> str:
    """Return an address with the user's name in it, and a number that nobody else has."""
    words = re.findall(r"[a-z]+", (user.name or "").lower()) or ["traveller"]
    return f"{words[0][0]}.{words[-1]}{number}@{EMAIL_DOMAIN}"


class UserFactory(factory.django.DjangoModelFactory[User]):
    """A customer. Nobody can log in as them unless `raw_password` is given.

    Params:
        now: the moment from which the past is measured.
        raw_password: hashed as the existing application does it, which takes its time.
    """

    class Meta:
        model = User

    class Params:
        now = factory.LazyFunction(timezone.now)
        raw_password = None
        first_name = factory.Faker("first_name")
        last_name = factory.Faker("last_name")

    name = factory.LazyAttribute(lambda user: f"{user.first_name} {user.last_name}")
    email = factory.LazyAttributeSequence(email_of)
    password = factory.LazyAttribute(
        lambda user: (
            make_password(None)
            if user.raw_password is None
            else generate_password_hash(user.raw_password)
        )
    )
    plan_id = factory.LazyFunction(lambda: choose_weighted(PLAN_WEIGHTS))
    employer = factory.Maybe(
        factory.LazyFunction(lambda: randgen.random() < EMPLOYED), factory.Faker("company"), None
    )
    email_verified = factory.LazyFunction(lambda: randgen.random() < VERIFIED)
    preferred_region = factory.LazyFunction(lambda: randgen.choice(REGIONS))
    preferred_threat_type = factory.LazyFunction(lambda: randgen.choice(THREATS))
    home_location = factory.Faker("city")
    created_at = factory.LazyAttribute(
        lambda user: moment_between(user.now - HISTORY, user.now - NEWEST)
    )
    updated_at = factory.SelfAttribute("created_at")


class UserUsageFactory(factory.django.DjangoModelFactory[UserUsage]):
    """The month of a customer. What they have used is counted by the database."""

    class Meta:
        model = UserUsage

    user = factory.SubFactory(UserFactory)
    email = factory.SelfAttribute("user.email")
    created_at = factory.SelfAttribute("user.created_at")
