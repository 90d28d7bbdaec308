from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import sentinel.accounts.fields

ROOT = Path(__file__).parents[2]
NO_WAY_BACK = "/* This table was there before us and holds production data. */ SELECT 1"


class Migration(migrations.Migration):
    initial = True

    dependencies = [("accounts", "0001_legacy")]

    operations = [
        migrations.RunSQL(NO_WAY_BACK),  # first, as in accounts 0001, which gives the reason
        migrations.RunSQL(
            sql="\n".join(
                (ROOT / path).read_text(encoding="utf-8")
                for path in (
                    "sentinel/accounts/migrations/sql/legacy_check.sql",
                    "usage/migrations/sql/0001_legacy.sql",
                )
            ),
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
    ]
