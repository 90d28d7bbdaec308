from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import sentinel.accounts.fields
from sentinel.migrating import AddConstraint, BuildIndex

ROOT = Path(__file__).parents[2]
NO_WAY_BACK = "/* This table was there before us and holds production data. */ SELECT 1"


def step(*names: str) -> str:
    """A transaction of its own, in which the functions of the check are at hand."""
    files = (
        ROOT / "sentinel/accounts/migrations/sql/legacy_check.sql",
        *(Path(__file__).with_name("sql") / name for name in ("0001_expected.sql", *names)),
    )
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


class Migration(migrations.Migration):
    """The table as it stands, completed in steps as in accounts 0001."""

    atomic = False
    initial = True

    dependencies = [("accounts", "0001_legacy")]

    operations = [
        migrations.RunSQL(NO_WAY_BACK),  # first, as in accounts 0001, which gives the reason
        migrations.RunSQL(
            sql=step() + "\nSELECT pg_temp.refuse_contradictions();",
            state_operations=[
                migrations.CreateModel(
                    name="FeatureUsage",
                    fields=[
                        ("id", models.AutoField(primary_key=True, serialize=False)),
                        (
                            "user",
                            models.ForeignKey(
                                blank=True,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="feature_usage",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        ("feature", models.CharField(max_length=50)),
                        (
                            "usage_count",
                            models.IntegerField(
                                blank=True, db_default=1, null=True, verbose_name="uses"
                            ),
                        ),
                        (
                            "period_start",
                            models.DateField(
                                help_text="The first day of the month, in UTC.",
                                verbose_name="month",
                            ),
                        ),
                        ("period_end", models.DateField(verbose_name="month's last day")),
                        (
                            "created_at",
                            sentinel.accounts.fields.UTCTimestampField(
                                blank=True, db_default=Now(), null=True
                            ),
                        ),
                    ],
                    options={
                        "db_table": "feature_usage",
                        "ordering": ("-id",),
                        "verbose_name": "month's usage",
                        "verbose_name_plural": "monthly usage",
                        "indexes": [
                            models.Index(
                                fields=["user", "period_start"], name="idx_feature_usage_user"
                            ),
                            models.Index(fields=["feature"], name="idx_feature_usage_feature"),
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=["user", "feature", "period_start"],
                                name="feature_usage_user_id_feature_period_start_key",
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql=step("0001_feature_usage.sql")),
        AddConstraint(
            table="feature_usage",
            name="feature_usage_user_id_fkey",
            columns=["user_id"],
            foreign_key="REFERENCES users ON DELETE CASCADE",
        ),
        AddConstraint(
            table="feature_usage",
            name="feature_usage_user_id_feature_period_start_key",
            columns=["user_id", "feature", "period_start"],
        ),
        BuildIndex(
            name="idx_feature_usage_user", on="feature_usage (user_id, period_start)", removed=False
        ),
        BuildIndex(name="idx_feature_usage_feature", on="feature_usage (feature)", removed=False),
        migrations.RunSQL(
            sql=(Path(__file__).with_name("sql") / "0001_functions.sql").read_text("utf-8")
        ),
    ]
