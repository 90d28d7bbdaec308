"""Half a year of usage: it grows, comes near limits, is refused here and there, and archived."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from factory.random import randgen

from sentinel.accounts.factories import HISTORY, choose_weighted, moment_between
from usage.archiving.retention import archive_before
from usage.factories import FeatureUsageEventFactory, LimitOverrideFactory
from usage.gating.models import FeatureRefusal
from usage.limit_models import LimitOverride
from usage.models import FeatureUsage, FeatureUsageEvent
from usage.reporting import find_months
from usage.reporting.refreshing import count_days

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel.accounts.models import User

BATCH = 2_000  # rows a statement: its text stays below a megabyte or so
LIVE_MONTHS = 3  # this one and three before it: the older ones go to the archive

# How often each plan uses each feature, against its others.
PRO_FEATURES = {
    "chat_messages_monthly": 14,
    "chat_export_pdf": 9,
    "map_export": 7,
    "briefing_packages": 6,
    "trip_planner_destinations": 5,
    "travel_assessments_monthly": 4,
    "saved_searches": 2,
}
BUSINESS_FEATURES = PRO_FEATURES | {"route_analysis": 8, "safe_zones_overlay": 5}
FEATURES = {
    "PRO": PRO_FEATURES,
    "BUSINESS": BUSINESS_FEATURES,
    "ENTERPRISE": BUSINESS_FEATURES | {"api_access": 9, "custom_reports": 4, "analyst_access": 1},
}
# How much a user of a plan uses, against the others.
ACTIVITY = {"PRO": 1, "BUSINESS": 2, "ENTERPRISE": 4}
WEEKENDS_OFF = 0.6  # share of the uses of a weekend that are put on another day

# Parts of a limit that some users have used up, this month and some the last one as well.
PARTS = (1.0, 0.9, 0.8, 0.5)
LIMITED = "pdf_exports_monthly"
LIMITS = {"FREE": 1, "PRO": 10}
OWN_LIMIT = 25

# What users of a plan ask for in vain, against the others.
REFUSED = {
    "FREE": {
        "trip_planner_destinations": 9,
        "chat_messages_monthly": 8,
        "briefing_packages": 4,
        "pdf_exports_monthly": 3,
    },
    "PRO": {"route_analysis": 6, "pdf_exports_monthly": 4, "conversation_threads": 2},
    "BUSINESS": {"api_access": 3, "custom_reports": 2},
}
REFUSALS_A_USER = 6


def add_usage(number: int, *, users: Sequence[User], now: datetime) -> None:
    """Add uses of features, the oldest first. The database counts the months.

    Args:
        number: how many uses; those that bring users near their limits come on top.
        users: their accounts, with what plan they have.
        now: everything was used before.
    """
    events = [*_build_uses(number, users, now=now), *_build_uses_near_limits(users, now=now)]
    events.sort(key=lambda event: event.occurred_at)
    FeatureUsageEvent.objects.bulk_create(events, batch_size=BATCH)
    _date_months(users)


def add_own_limits(users: Sequence[User], *, now: datetime) -> None:
    """Give the first paying users limits of their own: one that holds, and one that has ended."""
    paying = [user for user in users if user.plan_id == "PRO"][:2]
    until = (None, now - timedelta(days=20))
    LimitOverride.objects.bulk_create(
        LimitOverrideFactory.build(user=user, feature=LIMITED, usage_limit=OWN_LIMIT, until=end)
        for user, end in zip(paying, until, strict=False)
    )


def add_refusals(users: Sequence[User], *, now: datetime) -> None:
    """Add what was refused: more every month, and most of it to those who pay nothing."""
    rows: dict[tuple[int, date, str, str], FeatureRefusal] = {}
    for user in users:
        plan = str(user.plan_id)
        for _ in range(REFUSALS_A_USER if plan in REFUSED else 0):
            at = _growing_moment(user, now=now)
            feature = choose_weighted(REFUSED[plan])
            row = rows.setdefault(
                (user.pk, at.date(), feature, plan),
                FeatureRefusal(
                    user_id=user.pk,
                    day=at.date(),
                    feature=feature,
                    plan=plan,
                    refusals=0,
                    last_at=at,
                ),
            )
            row.refusals += randgen.randint(1, 4)
            row.last_at = max(row.last_at, at)
    FeatureRefusal.objects.bulk_create(rows.values(), batch_size=BATCH)


def archive_old_months(*, now: datetime) -> None:
    """Move months to the archive as `archive_feature_usage` does, in the transaction under way."""
    before = archive_before(now=now, months=LIVE_MONTHS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.begin_usage_archive(%s, NULL, NULL)", [before])
        [run] = cursor.fetchone()
        cursor.execute(
            "SELECT public.archive_usage_batch(%s, %s, batch.ids)"
            " FROM public.list_usage_batches(%s, %s) AS batch",
            [run, before, before, BATCH],
        )
        cursor.execute("SELECT public.end_usage_archive(%s, 'complete', NULL)", [run])


def refresh_figures(*, now: datetime) -> None:
    """Refresh what reports read, as `refresh_usage_summary` does, in the transaction under way."""
    with connection.cursor() as cursor:
        cursor.execute("REFRESH MATERIALIZED VIEW public.feature_usage_summary")
    for month in find_months(now=now):
        count_days(month, now=now)


def _build_uses(
    number: int, users: Sequence[User], *, now: datetime
) -> Iterator[FeatureUsageEvent]:
    """Build uses of those who pay: the more, the longer they have had their account."""
    paying = [user for user in users if user.plan_id in FEATURES]
    weights = [ACTIVITY[str(user.plan_id)] * (now - user.created_at).days for user in paying]
    for user in randgen.choices(paying, weights=[weight + 1 for weight in weights], k=number):
        yield FeatureUsageEventFactory.build(
            user=user,
            now=now,
            feature=choose_weighted(FEATURES[str(user.plan_id)]),
            occurred_at=_growing_moment(user, now=now),
        )


def _build_uses_near_limits(users: Sequence[User], *, now: datetime) -> Iterator[FeatureUsageEvent]:
    """Build exports of some users, who come near the limit of this month, or the last, or to it."""
    this_month = datetime.combine(now.astimezone(UTC).date().replace(day=1), time(), UTC)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    for plan, limit in LIMITS.items():
        chosen = [user for user in users if user.plan_id == plan]
        for number, user in enumerate(chosen[: 3 * len(PARTS)]):
            part = PARTS[number % len(PARTS)]
            # The last month up to the same day, so that there is something to compare with.
            same_moment = min(this_month, last_month + (now - this_month))
            months = ((this_month, now), (last_month, same_moment))
            for begin, end in months[: 1 + number % 2]:
                for _ in range(int(part * limit)):
                    if user.created_at < end:
                        yield FeatureUsageEventFactory.build(
                            user=user,
                            feature=LIMITED,
                            occurred_at=moment_between(
                                max(begin, user.created_at), end - timedelta(seconds=1)
                            ),
                        )


def _date_months(users: Sequence[User]) -> None:
    """Let a month say when it was last used, instead of when the demo was made."""
    events = FeatureUsageEvent.objects.filter(
        user=OuterRef("user"), feature=OuterRef("feature"), period_start=OuterRef("period_start")
    )
    last_used = Subquery(events.order_by("-occurred_at").values("occurred_at")[:1])
    with connection.cursor() as cursor:
        # With it the triggers leave updated_at as it is written: see sql/restore.sql.
        cursor.execute("SELECT set_config('sentinel.repair', 'on', true)")
        FeatureUsage.objects.filter(user__in=users).update(
            updated_at=Coalesce(last_used, "updated_at")
        )
        cursor.execute("SELECT set_config('sentinel.repair', '', true)")


def _growing_moment(user: User, *, now: datetime) -> datetime:
    """Return a moment since the account was made: rather late than early, rarely on a weekend."""
    begin: datetime = max(user.created_at or now, now - HISTORY)
    moment = begin + (now - begin) * sqrt(randgen.random())
    if moment.weekday() >= 5 and randgen.random() < WEEKENDS_OFF:  # noqa: PLR2004 (Saturday)
        moment = max(begin, moment - timedelta(days=2))
    return moment.astimezone(UTC).replace(microsecond=0)
