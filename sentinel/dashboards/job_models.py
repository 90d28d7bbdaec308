"""Audits and repairs that somebody has asked for on a page, and how far they have come."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models.functions import Now


class JobKind(StrEnum):
    """What is to be done."""

    AUDIT = "audit"
    REPAIR = "repair"


class JobState(StrEnum):
    """How far a job has come."""

    WAITING = "waiting"  # its process has not begun yet
    RUNNING = "running"
    COMPLETE = "complete"  # whatever it found
    FAILED = "failed"  # an error, which the summary tells
    LOST = "lost"  # its process is gone and has left no word


class CounterJob(models.Model):
    """One audit or repair that runs in a process of its own.

    Times are the database's. The user is a plain number: accounts are deleted by others than us.
    """

    kind = models.TextField(choices=[(kind.value, kind.value) for kind in JobKind])
    counters = models.JSONField(help_text="names of the counters")
    state = models.TextField(
        choices=[(state.value, state.value) for state in JobState],
        db_default=JobState.WAITING.value,
    )
    requested_by = models.IntegerField("user", help_text="who has asked for it")
    requested_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    done = models.BigIntegerField(db_default=0, help_text="counters audited, or rows repaired")
    total = models.BigIntegerField(null=True, help_text="of how many, where that is known")
    exact = models.BooleanField(null=True, help_text="whether all counters were exact at its end")
    summary = models.TextField(blank=True, db_default="", help_text="what came of it")

    class Meta:
        db_table = "counter_jobs"
        verbose_name = "job"
        ordering = ("-id",)
        constraints = (
            # Two clicks do not run two.
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(ended_at__isnull=True),
                name="counter_jobs_one_of_a_kind",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.ended_at is not None
