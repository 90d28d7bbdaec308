"""Fills the database with customers, conversations, trips and uses of features, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from factory.random import randgen

from itineraries.factories import MOST_DESTINATIONS, TravelItineraryFactory
from itineraries.models import TravelItinerary
from sentinel.accounts.factories import (
    EMAIL_DOMAIN,
    UserFactory,
    UserUsageFactory,
    choose_weighted,
    seeded_random,
)
from sentinel.accounts.models import Plan, User, UserUsage
from sentinel.demo.audit_history import add_audit_history
from sentinel.demo.usage_history import (
    add_own_limits,
    add_refusals,
    add_usage,
    archive_old_months,
    refresh_figures,
)
from threads.factories import build_conversation
from threads.models import ChatMessage, ChatThread
from usage.archiving.models import FeatureUsageEventArchive
from usage.models import FeatureUsageEvent

if TYPE_CHECKING:
    from datetime import datetime

DEFAULT_THREADS = 300  # a few pages of the admin's list
DEFAULT_SEED = 2024
THREADS_A_USER = 6
FEWEST_USERS = 12
EVERY_PLAN = ("FREE", "PRO", "BUSINESS", "ENTERPRISE")  # of the oldest accounts
BATCH = 2_000  # rows a statement: its text stays below a megabyte or so

# A free account has three messages in a lifetime, and no trips; the others stop at these.
FREE_LENGTHS = {1: 1, 2: 3, 3: 1}
LENGTHS = {0: 2, 2: 8, 4: 16, 6: 18, 8: 16, 10: 12, 14: 10, 20: 8, 27: 6, 40: 4}
MOST_DESTINATIONS_ON_PRO = 5
ARCHIVED, DELETED, BRIEFED, MALFORMED = 0.12, 0.06, 0.08, 0.05  # shares
TRIPS_A_THREAD = 0.4
USES_A_THREAD = 12
FEW = 10


@dataclass(frozen=True, kw_only=True)
class DemoData:
    """The demo data that the database holds.

    Attributes:
        added: whether this run has made it; otherwise it was there.
    """

    users: int
    threads: int
    messages: int
    itineraries: int
    uses: int
    added: bool


def seed_demo(
    *, now: datetime, threads: int = DEFAULT_THREADS, seed: int = DEFAULT_SEED
) -> DemoData:
    """Make demo data, unless there is some: then nothing is added, whatever the arguments.

    All or nothing. Demo users are known by the domain of their emails.

    Args:
        now: everything was made and said before.
        threads: how many; the rest is made in proportion.
        seed: the same seed and time make the same data.
    """
    with transaction.atomic():
        _wait_for_others()
        added = not demo_users().exists()
        if added:
            with seeded_random(seed):
                users = _add_users(max(FEWEST_USERS, threads // THREADS_A_USER), now=now)
                _add_threads(threads, users=users, now=now)
                _add_itineraries(round(threads * TRIPS_A_THREAD), users=users, now=now)
                add_usage(threads * USES_A_THREAD, users=users, now=now)
                add_own_limits(users, now=now)
                add_refusals(users, now=now)
                add_audit_history(_longest_threads(users), now=now)
            archive_old_months(now=now)
            refresh_figures(now=now)
        return count_demo_data(added=added)


def demo_users() -> QuerySet[User]:
    """Return the users that the demo has made."""
    return User.objects.filter(email__endswith=f"@{EMAIL_DOMAIN}")


def count_demo_data(*, added: bool) -> DemoData:
    """Count what there is."""
    users = demo_users()
    return DemoData(
        users=users.count(),
        threads=ChatThread.objects.filter(user__in=users).count(),
        messages=ChatMessage.objects.filter(thread__user__in=users).count(),
        itineraries=TravelItinerary.objects.filter(user__in=users).count(),
        uses=FeatureUsageEvent.objects.filter(user__in=users).count()
        + FeatureUsageEventArchive.objects.filter(user_id__in=users).count(),
        added=added,
    )


def _wait_for_others() -> None:
    """Let two demos on one database come one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('sentinel.demo'))")


def _add_users(number: int, *, now: datetime) -> list[User]:
    """Add users, the oldest first, each with a month of its own."""
    users = [UserFactory.build(now=now, __sequence=index) for index in range(number)]
    users.sort(key=lambda user: user.created_at)
    for user, plan in zip(users, EVERY_PLAN, strict=False):
        user.plan_id = plan
    User.objects.bulk_create(users)
    plans = Plan.objects.in_bulk()
    UserUsage.objects.bulk_create(
        UserUsageFactory.build(
            user=user, chat_messages_limit=plans[user.plan_id].chat_messages_per_month
        )
        for user in users
    )
    return users


def _add_threads(number: int, *, users: list[User], now: datetime) -> None:
    """Add threads with their messages, the oldest first. The database counts them."""
    paying = [user for user in users if user.plan_id != "FREE"]
    free = [user for user in users if user.plan_id == "FREE"][: number // 2]
    owners = free + randgen.choices(paying, k=number - len(free))
    conversations = [_build_thread(owner, now=now) for owner in owners]
    conversations.sort(key=_beginning)
    ChatThread.objects.bulk_create((thread for thread, _ in conversations), batch_size=BATCH)
    ChatMessage.objects.bulk_create(
        (message for _, messages in conversations for message in messages), batch_size=BATCH
    )
    # The counter's trigger has set updated_at to this moment, as for any message that comes in.
    said = ChatMessage.objects.filter(thread=OuterRef("pk")).order_by("-created_at", "-id")
    ChatThread.objects.filter(user__in=users).update(
        updated_at=Coalesce(Subquery(said.values("created_at")[:1]), "created_at")
    )


def _longest_threads(users: list[User]) -> list[ChatThread]:
    """Return a few threads with the most messages."""
    threads = ChatThread.objects.filter(user__in=users)
    return list(threads.order_by("-thread_messages_count", "id")[:FEW])


def _beginning(conversation: tuple[ChatThread, list[ChatMessage]]) -> datetime:
    thread, _ = conversation
    return cast("datetime", thread.created_at)  # nullable, but the factory gives one


def _build_thread(owner: User, *, now: datetime) -> tuple[ChatThread, list[ChatMessage]]:
    free = owner.plan_id == "FREE"
    return build_conversation(
        messages=choose_weighted(FREE_LENGTHS if free else LENGTHS),
        now=now,
        briefed=not free and randgen.random() < BRIEFED,
        user=owner,
        archived=not free and randgen.random() < ARCHIVED,
        deleted=randgen.random() < DELETED,
    )


def _add_itineraries(number: int, *, users: list[User], now: datetime) -> None:
    """Add trips, the oldest first. The database counts their waypoints."""
    paying = [user for user in users if user.plan_id != "FREE"]
    trips = [
        TravelItineraryFactory.build(
            user=owner,
            now=now,
            destinations=randgen.randint(
                0, MOST_DESTINATIONS_ON_PRO if owner.plan_id == "PRO" else MOST_DESTINATIONS
            ),
            malformed=randgen.random() < MALFORMED,
            deleted=randgen.random() < DELETED,
        )
        for owner in randgen.choices(paying, k=number)
    ]
    trips.sort(key=lambda trip: trip.created_at)
    TravelItinerary.objects.bulk_create(trips, batch_size=BATCH)
