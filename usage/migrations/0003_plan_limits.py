from __future__ import annotations

from pathlib import Path
from typing import Any

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

SQL = Path(__file__).with_name("sql")


def read(name: str) -> str:
    return (SQL / f"0003_{name}.sql").read_text(encoding="utf-8")


LIMIT_FIELDS: list[tuple[str, models.Field[Any, Any]]] = [
    ("feature", models.CharField(max_length=50)),
    (
        "usage_limit",
        models.IntegerField(
            blank=True,
            help_text="Empty: unlimited, or simply there. 0: not there.",
            null=True,
            validators=[django.core.validators.MinValueValidator(0)],
            verbose_name="limit",
        ),
    ),
    (
        "per",
        models.CharField(
            blank=True,
            choices=[
                ("month", "month"),
                ("lifetime", "lifetime"),
                ("object", "object"),
                ("account", "account"),
            ],
            help_text="What a number is the limit of. Empty where nothing is counted.",
            max_length=20,
            null=True,
        ),
    ),
    (
        "tier",
        models.CharField(
            blank=True, help_text="The word of a tiered feature.", max_length=50, null=True
        ),
    ),
]


class Migration(migrations.Migration):
    """What plans and single users are allowed, and the functions that compare it.

    The tables are made by hand: Django's foreign keys are deferrable and delete nothing. Each step
    is a transaction of its own, so that none holds locks on two tables that others write, and can
    be done again. On the way back the tables stay: they hold what people decided.
    """

    atomic = False

    dependencies = [
        ("accounts", "0002_django_columns"),
        ("usage", "0002_ledger"),
    ]

    operations = [
        migrations.RunSQL(
            sql=read("plan_limits_tables"),
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.CreateModel(
                    name="PlanLimit",
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
                        *LIMIT_FIELDS,
                        (
                            "plan",
                            models.ForeignKey(
                                db_column="plan",
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="limits",
                                to="accounts.plan",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "limit of a plan",
                        "verbose_name_plural": "limits of the plans",
                        "db_table": "feature_plan_limits",
                        "ordering": ("feature", "plan"),
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("plan", "feature"),
                                name="feature_plan_limits_plan_feature_key",
                            )
                        ],
                    },
                ),
                migrations.CreateModel(
                    name="PlanTrial",
                    fields=[
                        (
                            "plan",
                            models.OneToOneField(
                                db_column="plan",
                                on_delete=django.db.models.deletion.CASCADE,
                                primary_key=True,
                                related_name="trial",
                                serialize=False,
                                to="accounts.plan",
                            ),
                        ),
                        (
                            "days",
                            models.IntegerField(
                                validators=[django.core.validators.MinValueValidator(1)]
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "trial of a plan",
                        "verbose_name_plural": "trials of the plans",
                        "db_table": "plan_trials",
                        "ordering": ("plan",),
                    },
                ),
            ],
        ),
        migrations.RunSQL(
            sql=read("limit_overrides_table"),
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.CreateModel(
                    name="LimitOverride",
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
                        *LIMIT_FIELDS,
                        (
                            "until",
                            models.DateTimeField(
                                blank=True,
                                help_text="At that second it is over. Empty: for good.",
                                null=True,
                            ),
                        ),
                        ("reason", models.TextField(help_text="Why, and who asked for it.")),
                        ("created_at", models.DateTimeField(db_default=Now(), editable=False)),
                        (
                            "user",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="limit_overrides",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "limit of a user",
                        "verbose_name_plural": "limits of single users",
                        "db_table": "feature_limit_overrides",
                        "ordering": ("-id",),
                        "constraints": [
                            models.UniqueConstraint(
                                fields=("user", "feature"),
                                name="feature_limit_overrides_user_id_feature_key",
                            )
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql=read("plan_limits_data"), reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(
            sql=read("limit_functions") + (SQL / "grant_functions.sql").read_text(encoding="utf-8"),
            reverse_sql=read("limit_functions_reverse"),
        ),
    ]
