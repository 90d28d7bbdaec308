"""What customers use: a ledger of events, and the months that are counted from it."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from sentinel.accounts.fields import UTCTimestampField
from sentinel.accounts.models import User
from sentinel.counters import LedgerCounter
from usage.archiving.keys import REFUSE_ARCHIVED_KEYS_ON_INSERT
from usage.archiving.models import (  # noqa: F401 (so that Django finds them)
    ArchiveRun,
    FeatureUsageArchive,
    FeatureUsageEventArchive,
    FeatureUsageSummary,
)
from usage.arguments import LONGEST_KEY, REFUND_KEY
from usage.gating.models import FeatureRefusal  # noqa: F401 (so that Django finds it)
from usage.limit_models import LimitOverride, PlanLimit, PlanTrial  # noqa: F401 (so that Django finds them)

MONTH = "coalesce(adopted_period, (date_trunc('month', occurred_at AT TIME ZONE 'UTC'))::date)"


class FeatureUsage(models.Model):
    """How often a customer has used a feature in a month.

    The existing application writes these rows as well. Rows without a user, which the production
    schema allows, are nobody's usage.
    """

    id = models.AutoField(primary_key=True)
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,  # idx_feature_usage_user, below
        related_name="feature_usage",
    )
    feature = models.CharField(max_length=50)
    usage_count = models.IntegerField("uses", null=True, blank=True, db_default=1)
    period_start = models.DateField("month", help_text="The first day of the month, in UTC.")
    period_end = models.DateField("month's last day")
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    updated_at = models.DateTimeField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "feature_usage"
        ordering = ("-id",)
        verbose_name = "month's usage"
        verbose_name_plural = "monthly usage"
        constraints = (
            models.UniqueConstraint(
                fields=["user", "feature", "period_start"],
                name="feature_usage_user_id_feature_period_start_key",
            ),
        )
        indexes = (
            models.Index(fields=["user", "period_start"], name="idx_feature_usage_user"),
            models.Index(fields=["feature"], name="idx_feature_usage_feature"),
            models.Index(fields=["period_start"], name="idx_feature_usage_period_start"),
            models.Index(fields=["-updated_at"], name="idx_feature_usage_updated_at"),
        )

    def __str__(self) -> str:
        return f"{self.feature} of user {self.user_id} in {self.period_start:%Y-%m}"


class FeatureUsageEvent(models.Model):
    """One use of a feature, a correction of it, or what somebody wrote into a month by hand.

    Events are appended and never changed. The month of an event is that of `occurred_at` in UTC,
    whatever the session's time zone.
    """

    id = models.BigAutoField(primary_key=True)
    # No constraint in the database: the month's row has one, and each event has its month's row.
    # It would cost a check and a lock of the user's row at every event.
    user = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # idx_feature_usage_events_month, below
        related_name="feature_usage_events",
    )
    feature = models.CharField(max_length=50, validators=[MinLengthValidator(1)])
    quantity = models.IntegerField(db_default=1, help_text="Negative to give back.")
    occurred_at = models.DateTimeField(db_default=Now())
    recorded_at = models.DateTimeField(db_default=Now())
    idempotency_key = models.CharField(
        max_length=LONGEST_KEY,
        null=True,
        blank=True,
        help_text="An event with a key that the user has used already is not counted again.",
    )
    source = models.CharField(
        max_length=50, db_default="direct", help_text="Where the event comes from."
    )
    reason = models.TextField(null=True, blank=True, help_text="Why a quantity is negative.")
    adopted = models.BooleanField(
        db_default=False, help_text="Written into the month by somebody else, and adopted here."
    )
    adopted_period = models.DateField(
        null=True, blank=True, help_text="The month that it was written into."
    )
    period_start = models.GeneratedField(
        verbose_name="month",
        expression=RawSQL(MONTH, ()),  # noqa: S611 (TruncMonth with a time zone has no migration)
        output_field=models.DateField(),
        db_persist=True,
    )

    class Meta:
        db_table = "feature_usage_events"
        ordering = ("-id",)
        verbose_name = "usage event"
        constraints = (
            models.UniqueConstraint(
                fields=["user", "idempotency_key"],
                name="feature_usage_events_key",
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                name="feature_usage_events_quantity",
                condition=~Q(quantity=0) & (Q(quantity__gt=0) | Q(reason__isnull=False)),
            ),
            models.CheckConstraint(
                name="feature_usage_events_refund_key",
                condition=~Q(idempotency_key__startswith=REFUND_KEY) | Q(source="refund"),
            ),
            models.CheckConstraint(
                name="feature_usage_events_adopted",
                condition=Q(adopted=True) | Q(adopted_period__isnull=True),
            ),
        )
        indexes = (
            models.Index(
                fields=["user", "feature", "period_start"], name="idx_feature_usage_events_month"
            ),
            # For the count of a month's days: events lie in the order of time, or nearly so.
            BrinIndex(
                fields=["period_start"],
                name="idx_usage_events_period_brin",
                autosummarize=True,
                pages_per_range=32,
            ),
        )
        triggers = (
            REFUSE_ARCHIVED_KEYS_ON_INSERT,
            *LedgerCounter(
                parent=FeatureUsage,
                column="usage_count",
                quantity="quantity",
                keys=("user", "feature", "period_start"),
                creates={
                    "period_end": "(({period_start} + interval '1 month') - interval '1 day')::date"
                },
                adopts={
                    "user_id": "{row}.user_id",
                    "feature": "{row}.feature",
                    "adopted_period": "{row}.period_start",
                    "adopted": "true",
                    "source": "'adopted'",
                    "reason": "'written by ' || session_user",
                },
                touches=("updated_at",),
            ).triggers(),
        )

    def __str__(self) -> str:
        return (
            f"{self.quantity:+} {self.feature} of user {self.user_id} in {self.period_start:%Y-%m}"
        )
