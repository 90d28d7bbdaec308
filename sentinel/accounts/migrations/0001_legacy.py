from pathlib import Path

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import sentinel.accounts.fields
from sentinel.migrating import AddConstraint, BuildIndex

SQL = Path(__file__).with_name("sql")
NO_WAY_BACK = "/* These tables were there before us and hold production data. */ SELECT 1"


def step(*names: str) -> str:
    """A transaction of its own, in which the functions of the check are at hand."""
    files = ("legacy_check.sql", "0001_expected.sql", *names)
    return "\n".join((SQL / name).read_text(encoding="utf-8") for name in files)


class Migration(migrations.Migration):
    """The tables as they stand: looked at first, then completed table by table.

    Each step looks whether it has anything to do, locks one table for a moment if it has, and can
    be done again. On a complete database none has.
    """

    atomic = False
    initial = True

    dependencies = []

    operations = [
        # There is no way back from here: these tables were there before us, hold production data
        # and belong to the existing application as much as to us. Drop them by hand if you must.
        # (This operation stands first because it is the one that Django prints when asked.)
        migrations.RunSQL(NO_WAY_BACK),
        # The SQL is the whole truth about the database; the state is what Django believes of it.
        migrations.RunSQL(
            sql=step() + "\nSELECT pg_temp.refuse_contradictions();",
            state_operations=[
                migrations.CreateModel(
                    name="Plan",
                    fields=[
                        ("name", models.TextField(primary_key=True, serialize=False)),
                        (
                            "price_cents",
                            models.IntegerField(verbose_name="price a month, in cents"),
                        ),
                        ("chat_messages_per_month", models.IntegerField()),
                        (
                            "created_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                    ],
                    options={"db_table": "plans", "ordering": ("price_cents", "name")},
                ),
                migrations.CreateModel(
                    name="User",
                    fields=[
                        ("id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "email",
                            models.TextField(
                                unique=True, validators=[django.core.validators.EmailValidator()]
                            ),
                        ),
                        ("password", models.TextField(db_column="password_hash")),
                        (
                            "plan",
                            models.ForeignKey(
                                blank=True,
                                db_column="plan",
                                db_default=models.Value("FREE"),
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.PROTECT,
                                related_name="users",
                                to="accounts.plan",
                            ),
                        ),
                        ("name", models.TextField(blank=True, null=True)),
                        ("employer", models.TextField(blank=True, null=True)),
                        (
                            "email_verified",
                            models.BooleanField(blank=True, db_default=False, null=True),
                        ),
                        (
                            "is_active",
                            models.BooleanField(
                                blank=True,
                                db_default=True,
                                default=True,
                                help_text="Take this away instead of deleting an account.",
                                null=True,
                                verbose_name="active",
                            ),
                        ),
                        ("preferred_region", models.TextField(blank=True, null=True)),
                        ("preferred_threat_type", models.TextField(blank=True, null=True)),
                        ("home_location", models.TextField(blank=True, null=True)),
                        ("extra_details", models.JSONField(blank=True, db_default={}, null=True)),
                        (
                            "created_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                        (
                            "updated_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                        (
                            "lifetime_chat_messages",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                        (
                            "lifetime_travel_assessments",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                        (
                            "lifetime_map_views",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                        (
                            "trial_started_at",
                            sentinel.accounts.fields.UTCTimestampField(blank=True, null=True),
                        ),
                        (
                            "trial_ends_at",
                            sentinel.accounts.fields.UTCTimestampField(blank=True, null=True),
                        ),
                        (
                            "is_trial",
                            models.BooleanField(
                                blank=True, db_default=False, null=True, verbose_name="on trial"
                            ),
                        ),
                        (
                            "stripe_customer_id",
                            models.CharField(blank=True, max_length=255, null=True),
                        ),
                        (
                            "stripe_subscription_id",
                            models.CharField(blank=True, max_length=255, null=True),
                        ),
                        (
                            "is_admin",
                            models.BooleanField(
                                blank=True,
                                help_text=(
                                    "Says nothing about this admin: that is the staff status."
                                ),
                                null=True,
                                verbose_name="administrator of the existing application",
                            ),
                        ),
                    ],
                    options={
                        "db_table": "users",
                        "ordering": ("-id",),
                        "indexes": [
                            models.Index(fields=["email"], name="idx_users_email"),
                            models.Index(fields=["plan"], name="idx_users_plan"),
                            models.Index(fields=["is_admin"], name="idx_users_is_admin"),
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="UserUsage",
                    fields=[
                        (
                            "user",
                            models.OneToOneField(
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="usage",
                                serialize=False,
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "chat_messages_used",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                        (
                            "chat_messages_limit",
                            models.IntegerField(blank=True, db_default=3, null=True),
                        ),
                        (
                            "last_reset",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                        (
                            "created_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                        (
                            "updated_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                        ("email", models.TextField(blank=True, null=True, unique=True)),
                        ("pdf_exports_used", models.IntegerField(db_default=0)),
                    ],
                    options={
                        "db_table": "user_usage",
                        "ordering": ("user",),
                        "verbose_name": "monthly chat usage",
                        "verbose_name_plural": "monthly chat usage",
                        "indexes": [models.Index(fields=["email"], name="idx_user_usage_email")],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql=step("0001_plans.sql")),
        migrations.RunSQL(sql=step("0001_users.sql")),
        AddConstraint(table="users", name="users_email_key", columns=["email"]),
        AddConstraint(
            table="users",
            name="users_plan_fkey",
            columns=["plan"],
            foreign_key="REFERENCES plans",
        ),
        BuildIndex(name="idx_users_email", on="users (email)", removed=False),
        BuildIndex(name="idx_users_plan", on="users (plan)", removed=False),
        BuildIndex(name="idx_users_is_admin", on="users (is_admin)", removed=False),
        migrations.RunSQL(sql=step("0001_user_usage.sql")),
        AddConstraint(
            table="user_usage",
            name="user_usage_user_id_fkey",
            columns=["user_id"],
            foreign_key="REFERENCES users ON DELETE CASCADE",
        ),
        AddConstraint(table="user_usage", name="user_usage_email_key", columns=["email"]),
        BuildIndex(name="idx_user_usage_email", on="user_usage (email)", removed=False),
    ]
