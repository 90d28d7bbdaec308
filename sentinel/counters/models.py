"""What audits found and what repairs changed.

Written by the SQL of `sql/records.sql`, read here. Repairs take the time from the database: their
order is one of commits, whichever machine they ran on.
"""

from __future__ import annotations

from django.db import models

from sentinel.counters.repair_run import Outcome


class CounterAudit(models.Model):
    """One counter, as one audit found it."""

    counter = models.TextField(help_text="table.column")
    audited_at = models.DateTimeField()
    exact = models.BooleanField(help_text="every row right, every trigger in place")
    rows_checked = models.BigIntegerField()
    rows_in_drift = models.BigIntegerField()
    largest_drift = models.BigIntegerField(help_text="the largest difference of a row")
    summed_drift = models.BigIntegerField(help_text="the differences of all rows, added up")
    problems = models.JSONField(
        default=list, blank=True, help_text="what is wrong with the triggers, and the cures"
    )
    seconds = models.FloatField(help_text="how long the audit took")

    class Meta:
        db_table = "counter_audits"
        verbose_name = "audit"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("counter", "-audited_at"), name="counter_audits_of_counter"),
            models.Index(fields=("audited_at",), name="counter_audits_by_age"),
        )

    def __str__(self) -> str:
        return f"{self.counter}, {self.audited_at:%Y-%m-%d %H:%M:%S}"


class CounterRepairRun(models.Model):
    """One run of `repair_counters`."""

    outcome = models.TextField(choices=[(outcome.value, outcome.value) for outcome in Outcome])
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(
        null=True, help_text="of a run that was killed: when the next one found it"
    )
    counters = models.JSONField(help_text="names of the counters that it was to repair")
    database_user = models.TextField()
    host = models.TextField(help_text="the machine that the command ran on")
    process = models.IntegerField(help_text="the command's process on that machine")
    backend = models.IntegerField(help_text="the server's process that kept other repairs out")
    batches = models.IntegerField(default=0)
    rows_repaired = models.BigIntegerField(default=0)
    rows_skipped = models.BigIntegerField(default=0)
    rows_left = models.BigIntegerField(default=0)

    class Meta:
        db_table = "counter_repair_runs"
        verbose_name = "repair run"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.pk}, {self.started_at:%Y-%m-%d %H:%M:%S}"


class CounterRepair(models.Model):
    """One row that a repair made right."""

    # Without a constraint: a check for every row would be an eighth of the repair.
    run = models.ForeignKey(
        CounterRepairRun, on_delete=models.PROTECT, related_name="repairs", db_constraint=False
    )
    counter = models.TextField(help_text="table.column")
    key = models.JSONField(help_text="the row's key")
    before = models.JSONField(help_text="the counter and its mirrors, by column")
    after = models.JSONField(help_text="the same columns, as the rows say")
    repaired_at = models.DateTimeField()

    class Meta:
        db_table = "counter_repairs"
        verbose_name = "repair"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("counter", "-repaired_at"), name="counter_repairs_of_counter"),
            models.Index(fields=("repaired_at",), name="counter_repairs_by_age"),
        )

    def __str__(self) -> str:
        return f"{self.counter} {self.key}"
