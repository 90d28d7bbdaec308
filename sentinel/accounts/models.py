"""Customers, on the tables of the deployed system, column by column.

The existing application goes on writing these tables. So every column default stands in the
database (`db_default`), and passwords stay in the format that the existing application verifies.
"""

from __future__ import annotations

from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import validate_email
from django.db import models
from django.db.models import Value
from django.db.models.functions import Now
from werkzeug.security import check_password_hash, generate_password_hash

from sentinel.accounts.fields import UTCTimestampField


class Plan(models.Model):
    """What a customer pays for."""

    name = models.TextField(primary_key=True)
    price_cents = models.IntegerField("price a month, in cents")
    chat_messages_per_month = models.IntegerField()
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())

    class Meta:
        db_table = "plans"
        ordering = ("price_cents", "name")

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Makes users by email, and finds them by it."""

    def create_user(self, email: str, password: str | None = None, **extra_fields: Any) -> User:
        """Return a new user. Without a password nobody can log in as them.

        Raises:
            ValueError: there is no email.
        """
        if not email:
            raise ValueError("A user needs an email: it is what they log in by.")
        user = self.model(email=self.normalize_email(email), **extra_fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(
        self, email: str, password: str | None = None, **extra_fields: Any
    ) -> User:
        """Return a new user who may do everything in the admin.

        The existing application's `is_admin` stays as it is: it opens other doors than ours.
        """
        return self.create_user(
            email, password, **({"is_staff": True, "is_superuser": True} | extra_fields)
        )

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user whose email is written so, or else so with the domain in lower case.

        The column is case-sensitive, and holds what the existing application stored.
        """
        try:
            return self.get(email=username)
        except self.model.DoesNotExist:
            return self.get(email=self.normalize_email(username))

    async def aget_by_natural_key(self, username: str | None) -> User:
        """See `get_by_natural_key`."""
        return await sync_to_async(self.get_by_natural_key)(username)


class User(AbstractBaseUser, PermissionsMixin):
    """A customer, or one of the company's staff."""

    id = models.AutoField(primary_key=True)
    email = models.TextField(unique=True, validators=[validate_email])
    password = models.TextField(db_column="password_hash")
    plan = models.ForeignKey(
        Plan,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_column="plan",
        db_default=Value("FREE"),
        db_index=False,  # idx_users_plan, below
        related_name="users",
    )
    name = models.TextField(null=True, blank=True)
    employer = models.TextField(null=True, blank=True)
    email_verified = models.BooleanField(null=True, blank=True, db_default=False)
    # Until it is saved, a user made without these three would hold an expression in their place,
    # and every expression is true: so they have a default in Python as well.
    is_active = models.BooleanField(  # type: ignore[assignment]  # the column is nullable
        "active",
        null=True,
        blank=True,
        default=True,
        db_default=True,
        help_text="Take this away instead of deleting an account.",
    )
    is_staff = models.BooleanField(
        "staff status", default=False, db_default=False, help_text="May log in to this admin."
    )
    is_superuser = models.BooleanField(
        "superuser status",
        default=False,
        db_default=False,
        help_text="Has every permission without being given it.",
    )
    preferred_region = models.TextField(null=True, blank=True)
    preferred_threat_type = models.TextField(null=True, blank=True)
    home_location = models.TextField(null=True, blank=True)
    extra_details = models.JSONField(null=True, blank=True, db_default={})
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    updated_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    lifetime_chat_messages = models.IntegerField(null=True, blank=True, db_default=0)
    lifetime_travel_assessments = models.IntegerField(null=True, blank=True, db_default=0)
    lifetime_map_views = models.IntegerField(null=True, blank=True, db_default=0)
    trial_started_at = UTCTimestampField(null=True, blank=True)
    trial_ends_at = UTCTimestampField(null=True, blank=True)
    is_trial = models.BooleanField("on trial", null=True, blank=True, db_default=False)
    stripe_customer_id = models.CharField(max_length=255, null=True, blank=True)
    stripe_subscription_id = models.CharField(max_length=255, null=True, blank=True)
    is_admin = models.BooleanField(
        "administrator of the existing application",
        null=True,
        blank=True,
        help_text="Says nothing about this admin: that is the staff status.",
    )

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["email"], name="idx_users_email"),
            models.Index(fields=["plan"], name="idx_users_plan"),
            models.Index(fields=["is_admin"], name="idx_users_is_admin"),
        )

    def __str__(self) -> str:
        # As lists and logs show it: the email is a column of its own, for those who may see it.
        return self.name or (f"user {self.pk}" if self.pk else "a new user")

    def get_full_name(self) -> str:
        """Return the customer's name, or the email where there is none."""
        return self.name or self.email

    def get_short_name(self) -> str:
        """Return the same: names are stored in one piece."""
        return self.get_full_name()

    def set_password(self, raw_password: str | None) -> None:
        """Set the password, in Werkzeug's format. None makes it unusable."""
        if raw_password is None:
            self.set_unusable_password()
        else:
            self.password = generate_password_hash(raw_password)
        self._password = raw_password

    def set_unusable_password(self) -> None:
        """Store what neither we nor Werkzeug take for anyone's password."""
        self.password = make_password(None)

    def has_usable_password(self) -> bool:
        """Tell whether there is a password at all to check against."""
        return bool(self.password) and not self.password.startswith(UNUSABLE_PASSWORD_PREFIX)

    def check_password(self, raw_password: str | None) -> bool:
        """Tell whether this is the password. Nothing is written, whatever method the hash uses.

        A hash that cannot be read, or has parameters that cannot be computed, is nobody's.
        """
        if raw_password is None or not self.has_usable_password():
            return False
        try:
            return check_password_hash(self.password, raw_password)
        except (ValueError, TypeError, OverflowError, MemoryError):
            return False

    async def acheck_password(self, raw_password: str | None) -> bool:
        """See `check_password`; the hash is computed in a thread."""
        return await sync_to_async(self.check_password, thread_sensitive=False)(raw_password)


class UserUsage(models.Model):
    """The chat messages that a customer has used this month.

    The existing application adds to it beside the trigger, so it is no count of messages.
    """

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="usage"
    )
    chat_messages_used = models.IntegerField(null=True, blank=True, db_default=0)
    chat_messages_limit = models.IntegerField(null=True, blank=True, db_default=3)
    last_reset = UTCTimestampField(null=True, blank=True, db_default=Now())
    created_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    updated_at = UTCTimestampField(null=True, blank=True, db_default=Now())
    email = models.TextField(unique=True, null=True, blank=True)
    pdf_exports_used = models.IntegerField(db_default=0)

    class Meta:
        db_table = "user_usage"
        ordering = ("user",)
        verbose_name = "monthly chat usage"
        verbose_name_plural = "monthly chat usage"
        indexes = (models.Index(fields=["email"], name="idx_user_usage_email"),)

    def __str__(self) -> str:
        return f"chat usage of user {self.pk}"
