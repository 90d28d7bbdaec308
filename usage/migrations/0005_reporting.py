from pathlib import Path

import django.contrib.postgres.indexes
from django.db import migrations, models

from sentinel.migrating import BuildIndex

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    """What the reports read: uses and users by day, refusals, and an index on the ledger's months.

    Each step can be done again. On the way back the tables stay: they hold data.
    """

    atomic = False

    dependencies = [("usage", "0004_archive")]

    operations = [
        migrations.RunSQL(
            sql=(SQL / "0005_reporting_tables.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.CreateModel(
                    name="FeatureRefusal",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        ("day", models.DateField(help_text="In UTC.")),
                        ("user_id", models.IntegerField(verbose_name="user")),
                        ("feature", models.CharField(max_length=50)),
                        (
                            "plan",
                            models.TextField(help_text="The user's at that moment."),
                        ),
                        ("refusals", models.BigIntegerField()),
                        ("last_at", models.DateTimeField()),
                    ],
                    options={
                        "verbose_name": "refused use",
                        "db_table": "feature_usage_refusals",
                        "ordering": ("-id",),
                        "indexes": [
                            models.Index(fields=["day"], name="idx_feature_usage_refusals_day")
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("user_id", "day", "feature", "plan"),
                                name="feature_usage_refusals_key",
                            )
                        ],
                    },
                ),
            ],
        ),
        # An index by block ranges: the ledger is appended to in the order of time, so the months
        # lie together. It is a few pages, and costs an append nothing worth measuring.
        BuildIndex(
            name="idx_usage_events_period_brin",
            on="feature_usage_events USING brin (period_start)"
            " WITH (autosummarize = on, pages_per_range = 32)",
            state_operations=[
                migrations.AddIndex(
                    model_name="featureusageevent",
                    index=django.contrib.postgres.indexes.BrinIndex(
                        autosummarize=True,
                        fields=["period_start"],
                        name="idx_usage_events_period_brin",
                        pages_per_range=32,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            sql=(SQL / "0005_count_days.sql").read_text(encoding="utf-8"),
            reverse_sql=(
                "DROP FUNCTION IF EXISTS public.count_feature_usage_days(date, timestamptz)"
            ),
        ),
    ]
