from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models
from django.db.models.functions import Now

import sentinel.accounts.fields
import sentinel.counters.template

SQL = Path(__file__).with_name("sql")


def read(name: str) -> str:
    return (SQL / f"0004_{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """The archive, what moves old months into it, and the summary of the recent ones.

    Each step is a transaction of its own and can be done again. On the way back the archive stays:
    it holds data. What the old system writes meanwhile, an archived key included, counts there.
    """

    atomic = False

    dependencies = [("usage", "0003_plan_limits")]

    operations = [
        migrations.RunSQL(
            sql=read("archive_tables"),
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.CreateModel(
                    name="ArchiveRun",
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
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("running", "running"),
                                    ("complete", "complete"),
                                    ("failed", "failed"),
                                    ("killed", "killed"),
                                ],
                                db_default="running",
                            ),
                        ),
                        ("before", models.DateField(help_text="months that began before that day")),
                        ("started_at", models.DateTimeField(db_default=Now())),
                        (
                            "ended_at",
                            models.DateTimeField(
                                help_text="of a run that was killed: when the next one found it",
                                null=True,
                            ),
                        ),
                        ("batches", models.IntegerField(db_default=0)),
                        (
                            "months",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.DateField(),
                                help_text="of which something was moved",
                                size=None,
                            ),
                        ),
                        (
                            "rows_moved",
                            models.BigIntegerField(
                                db_default=0, help_text="of feature_usage", verbose_name="rows"
                            ),
                        ),
                        (
                            "events_moved",
                            models.BigIntegerField(db_default=0, verbose_name="events"),
                        ),
                        ("database_user", models.TextField()),
                        (
                            "host",
                            models.TextField(
                                help_text="the machine of the command; empty where SQL called the function",
                                null=True,
                            ),
                        ),
                        (
                            "process",
                            models.IntegerField(
                                help_text="the command's process on that machine", null=True
                            ),
                        ),
                        ("error", models.TextField(help_text="why it failed", null=True)),
                    ],
                    options={
                        "verbose_name": "archive run",
                        "db_table": "feature_usage_archive_runs",
                        "ordering": ("-id",),
                    },
                ),
                migrations.CreateModel(
                    name="FeatureUsageArchive",
                    fields=[
                        (
                            "id",
                            models.IntegerField(
                                help_text="the row's id in feature_usage",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("user_id", models.IntegerField(null=True, verbose_name="user")),
                        ("feature", models.CharField(max_length=50)),
                        ("usage_count", models.BigIntegerField(null=True, verbose_name="uses")),
                        ("period_start", models.DateField(verbose_name="month")),
                        ("period_end", models.DateField(verbose_name="month's last day")),
                        ("created_at", sentinel.accounts.fields.UTCTimestampField(null=True)),
                        ("updated_at", models.DateTimeField(null=True)),
                        ("archived_at", models.DateTimeField()),
                        (
                            "run",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="archived_months",
                                to="usage.archiverun",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "archived month",
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("user_id", "feature", "period_start"),
                                name="feature_usage_archive_key",
                            )
                        ],
                        "indexes": [
                            models.Index(fields=["period_start"], name="idx_usage_archive_period")
                        ],
                        "db_table": "feature_usage_archive",
                        "ordering": ("-id",),
                    },
                ),
                migrations.CreateModel(
                    name="FeatureUsageEventArchive",
                    fields=[
                        (
                            "id",
                            models.BigIntegerField(
                                help_text="the event's id in the ledger",
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("user_id", models.IntegerField(verbose_name="user")),
                        ("feature", models.CharField(max_length=50)),
                        ("quantity", models.IntegerField()),
                        ("occurred_at", models.DateTimeField()),
                        ("recorded_at", models.DateTimeField()),
                        ("idempotency_key", models.CharField(max_length=200, null=True)),
                        ("source", models.CharField(max_length=50)),
                        ("reason", models.TextField(null=True)),
                        ("adopted", models.BooleanField()),
                        ("adopted_period", models.DateField(null=True)),
                        ("period_start", models.DateField(verbose_name="month")),
                        ("archived_at", models.DateTimeField()),
                        (
                            "run",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="archived_events",
                                to="usage.archiverun",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "archived event",
                        "indexes": [
                            models.Index(
                                fields=["period_start", "user_id", "feature"],
                                name="idx_usage_events_archive_month",
                            )
                        ],
                        "db_table": "feature_usage_events_archive",
                        "ordering": ("-id",),
                    },
                ),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusageevent",
            trigger=pgtrigger.compiler.Trigger(
                name="archived_keys_on_insert",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    declare="DECLARE taken record;",
                    func="    SELECT event.user_id, event.idempotency_key, archived.event_id\n      INTO taken\n      FROM new_values AS event\n     CROSS JOIN LATERAL (SELECT used.event_id\n                           FROM public.feature_usage_archived_keys AS used\n                          WHERE used.user_id = event.user_id\n                            AND used.idempotency_key = event.idempotency_key\n                          LIMIT 1) AS archived\n     WHERE event.idempotency_key IS NOT NULL\n     LIMIT 1;\n    IF FOUND THEN\n        RAISE EXCEPTION 'user % has used the key % before, for event %, which is archived',\n                        taken.user_id, pg_catalog.quote_literal(taken.idempotency_key),\n                        taken.event_id\n            USING ERRCODE = 'unique_violation',\n                  HINT = 'The use was counted then: leave it out, or ask find_usage_event first.';\n    END IF;\n    RETURN NULL;\n",
                    hash="a86b9f4303de069e3e07f06f171e5ba8efe98034",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_archived_keys_on_insert_11aed",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="feature_usage_events",
                    when="AFTER",
                ),
            ),
        ),
        migrations.RunSQL(
            sql=read("archive_functions"), reverse_sql=read("archive_functions_reverse")
        ),
        migrations.RunSQL(
            sql=read("usage_summary"),
            reverse_sql="DROP MATERIALIZED VIEW IF EXISTS public.feature_usage_summary",
            state_operations=[
                migrations.CreateModel(
                    name="FeatureUsageSummary",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "feature",
                                "period_start",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("feature", models.CharField(max_length=50)),
                        ("period_start", models.DateField(verbose_name="month")),
                        ("unique_users", models.BigIntegerField()),
                        ("total_usage", models.BigIntegerField()),
                        (
                            "avg_usage_per_user",
                            models.DecimalField(decimal_places=2, max_digits=20),
                        ),
                        ("max_usage", models.BigIntegerField()),
                        ("median_usage", models.FloatField()),
                    ],
                    options={
                        "verbose_name": "usage of a feature in a month",
                        "db_table": "feature_usage_summary",
                        "ordering": ("-period_start", "feature"),
                        "managed": False,
                    },
                ),
            ],
        ),
    ]
