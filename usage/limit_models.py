"""What each plan allows, and what single users are allowed beside it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from sentinel.accounts.models import Plan, User
from usage.errors import UnknownFeatureError
from usage.features import Feature, Kind, Per, find_feature


class Limit(models.Model):
    """How much of a feature is allowed. What it is the limit of, a subclass says."""

    feature = models.CharField(max_length=50)
    usage_limit = models.IntegerField(
        "limit",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty: unlimited, or simply there. 0: not there.",
    )
    per = models.CharField(
        max_length=20,
        null=True,
        blank=True,
        choices=[(per.value, per.value) for per in Per],
        help_text="What a number is the limit of. Empty where nothing is counted.",
    )
    tier = models.CharField(
        max_length=50, null=True, blank=True, help_text="The word of a tiered feature."
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Refuse what the feature cannot mean.

        Raises:
            ValidationError: one message for each field that does not fit the feature.
        """
        super().clean()
        try:
            feature = find_feature(self.feature)
        except UnknownFeatureError as error:
            raise ValidationError(str(error)) from None  # of no field: not every form has this one
        problems = {
            "usage_limit": self._problem_of_limit(feature),
            "per": self._problem_of_per(feature),
            "tier": self._problem_of_tier(feature),
        }
        if any(problems.values()):
            raise ValidationError({name: words for name, words in problems.items() if words})

    def _problem_of_limit(self, feature: Feature) -> str:
        if feature.kind is not Kind.METERED and self.usage_limit not in {None, 0}:
            return f"{feature.title} is not counted: leave it empty, or write 0 to leave it out."
        return ""

    def _problem_of_per(self, feature: Feature) -> str:
        if not self.per or self.per in feature.possible_per:
            return ""
        possible = " or ".join(feature.possible_per)
        return f"{feature.title}: {f'write {possible}' if possible else 'leave it empty'}."

    def _problem_of_tier(self, feature: Feature) -> str:
        wanted = feature.tiers if self.usage_limit != 0 else ()
        if not wanted:
            return f"{feature.title}: leave it empty." if self.tier else ""
        return "" if self.tier in wanted else f"{feature.title}: write {' or '.join(wanted)}."


class PlanLimit(Limit):
    """How much of a feature a plan allows."""

    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, db_column="plan", db_index=False, related_name="limits"
    )

    class Meta:
        db_table = "feature_plan_limits"
        ordering = ("feature", "plan")
        verbose_name = "limit of a plan"
        verbose_name_plural = "limits of the plans"
        constraints = (
            models.UniqueConstraint(
                fields=["plan", "feature"], name="feature_plan_limits_plan_feature_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature} of {self.plan_id}"

    def _problem_of_per(self, feature: Feature) -> str:
        if feature.kind is Kind.METERED and not self.per:
            return f"{feature.title}: write {' or '.join(feature.possible_per)}."
        return super()._problem_of_per(feature)


class LimitOverride(Limit):
    """How much of a feature one user is allowed, whatever their plan is.

    Where `per` is empty, the number holds for what the plan's does.
    """

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, db_index=False, related_name="limit_overrides"
    )
    until = models.DateTimeField(
        null=True, blank=True, help_text="At that second it is over. Empty: for good."
    )
    reason = models.TextField(help_text="Why, and who asked for it.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "feature_limit_overrides"
        ordering = ("-id",)
        verbose_name = "limit of a user"
        verbose_name_plural = "limits of single users"
        constraints = (
            models.UniqueConstraint(
                fields=["user", "feature"], name="feature_limit_overrides_user_id_feature_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature} of user {self.user_id}"


class PlanTrial(models.Model):
    """How long a plan may be tried. A plan without a row cannot be."""

    plan = models.OneToOneField(
        Plan,
        on_delete=models.CASCADE,
        primary_key=True,
        db_column="plan",
        related_name="trial",
    )
    days = models.IntegerField(validators=[MinValueValidator(1)])

    class Meta:
        db_table = "plan_trials"
        ordering = ("plan",)
        verbose_name = "trial of a plan"
        verbose_name_plural = "trials of the plans"

    def __str__(self) -> str:
        return f"trial of {self.plan_id}"
