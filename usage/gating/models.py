"""What gates and services have refused, a row for each day, user, feature and plan."""

from __future__ import annotations

from django.db import models


class FeatureRefusal(models.Model):
    """Uses that a plan did not admit. Written by `usage.gating.counting`, a few seconds later."""

    day = models.DateField(help_text="In UTC.")
    user_id = models.IntegerField("user")  # a plain number, as in the archive: it may be gone
    feature = models.CharField(max_length=50)
    plan = models.TextField(help_text="The user's at that moment.")
    refusals = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "feature_usage_refusals"
        ordering = ("-id",)
        verbose_name = "refused use"
        constraints = (
            models.UniqueConstraint(
                fields=["user_id", "day", "feature", "plan"], name="feature_usage_refusals_key"
            ),
        )
        indexes = (models.Index(fields=["day"], name="idx_feature_usage_refusals_day"),)

    def __str__(self) -> str:
        return f"{self.refusals} {self.feature} of user {self.user_id} on {self.day}"
