"""The archive: months and events that have left the ledger, and the runs that moved them.

Written by the functions of `migrations/sql/0004_archive_functions.sql`, read here. The fields that
name a user are plain numbers: an account may be gone, and its figures stay until they are erased.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from sentinel.accounts.fields import UTCTimestampField


class RunState(StrEnum):
    """How a run of the archive ended. The batches that it moved stay moved, whatever it was."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"  # an error or Ctrl-C
    KILLED = "killed"  # found left behind by the next run


class ArchiveRun(models.Model):
    """One run that moved old months out of the ledger."""

    state = models.TextField(
        choices=[(state.value, state.value) for state in RunState],
        db_default=RunState.RUNNING.value,
    )
    before = models.DateField(help_text="months that began before that day")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(
        null=True, help_text="of a run that was killed: when the next one found it"
    )
    batches = models.IntegerField(db_default=0)
    months = ArrayField(models.DateField(), help_text="of which something was moved")
    rows_moved = models.BigIntegerField("rows", db_default=0, help_text="of feature_usage")
    events_moved = models.BigIntegerField("events", db_default=0)
    database_user = models.TextField()
    host = models.TextField(
        null=True, help_text="the machine of the command; empty where SQL called the function"
    )
    process = models.IntegerField(null=True, help_text="the command's process on that machine")
    error = models.TextField(null=True, help_text="why it failed")

    class Meta:
        db_table = "feature_usage_archive_runs"
        ordering = ("-id",)
        verbose_name = "archive run"

    def __str__(self) -> str:
        return f"{self.pk}, {self.started_at:%Y-%m-%d %H:%M:%S}"


class FeatureUsageArchive(models.Model):
    """How often somebody used a feature in a month that is archived."""

    id = models.IntegerField(primary_key=True, help_text="the row's id in feature_usage")
    user_id = models.IntegerField("user", null=True)
    feature = models.CharField(max_length=50)
    usage_count = models.BigIntegerField("uses", null=True)
    period_start = models.DateField("month")
    period_end = models.DateField("month's last day")
    created_at = UTCTimestampField(null=True)
    updated_at = models.DateTimeField(null=True)
    archived_at = models.DateTimeField()
    run = models.ForeignKey(
        ArchiveRun,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # a check for every row that is moved; runs are never deleted
        db_index=False,
        related_name="archived_months",
    )

    class Meta:
        db_table = "feature_usage_archive"
        ordering = ("-id",)
        verbose_name = "archived month"
        constraints = (
            models.UniqueConstraint(
                fields=["user_id", "feature", "period_start"], name="feature_usage_archive_key"
            ),
        )
        indexes = (models.Index(fields=["period_start"], name="idx_usage_archive_period"),)

    def __str__(self) -> str:
        return f"{self.feature} of user {self.user_id} in {self.period_start:%Y-%m}"


class FeatureUsageEventArchive(models.Model):
    """An event of a month that is archived."""

    id = models.BigIntegerField(primary_key=True, help_text="the event's id in the ledger")
    user_id = models.IntegerField("user")
    feature = models.CharField(max_length=50)
    quantity = models.IntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=200, null=True)
    source = models.CharField(max_length=50)
    reason = models.TextField(null=True)
    adopted = models.BooleanField()
    adopted_period = models.DateField(null=True)
    period_start = models.DateField("month")
    archived_at = models.DateTimeField()
    run = models.ForeignKey(
        ArchiveRun,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="archived_events",
    )

    class Meta:
        db_table = "feature_usage_events_archive"
        ordering = ("-id",)
        verbose_name = "archived event"
        indexes = (
            models.Index(
                fields=["period_start", "user_id", "feature"],
                name="idx_usage_events_archive_month",
            ),
        )

    def __str__(self) -> str:
        return (
            f"{self.quantity:+} {self.feature} of user {self.user_id} in {self.period_start:%Y-%m}"
        )


class FeatureUsageSummary(models.Model):
    """How a feature was used in a month, as of the last refresh: a materialised view."""

    pk = models.CompositePrimaryKey("feature", "period_start")
    feature = models.CharField(max_length=50)
    period_start = models.DateField("month")
    unique_users = models.BigIntegerField()
    total_usage = models.BigIntegerField()
    avg_usage_per_user = models.DecimalField(max_digits=20, decimal_places=2)
    max_usage = models.BigIntegerField()
    median_usage = models.FloatField()

    class Meta:
        db_table = "feature_usage_summary"
        managed = False
        ordering = ("-period_start", "feature")
        verbose_name = "usage of a feature in a month"

    def __str__(self) -> str:
        return f"{self.feature} in {self.period_start:%Y-%m}"
