from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from sentinel.migrating import AddConstraint, BuildIndex, RequireValue

ROOT = Path(__file__).parents[2]
NO_WAY_BACK = "/* These tables were there before us and hold production data. */ SELECT 1"


def step(*names: str) -> str:
    """A transaction of its own, in which the functions of the check are at hand."""
    files = (
        ROOT / "sentinel/accounts/migrations/sql/legacy_check.sql",
        *(Path(__file__).with_name("sql") / name for name in ("0001_expected.sql", *names)),
    )
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


class Migration(migrations.Migration):
    """The tables as they stand, completed in steps as in accounts 0001."""

    atomic = False
    initial = True

    dependencies = [("accounts", "0001_legacy")]

    operations = [
        migrations.RunSQL(NO_WAY_BACK),  # first, as in accounts 0001, which gives the reason
        migrations.RunSQL(
            sql=step() + "\nSELECT pg_temp.refuse_contradictions();",
            state_operations=[
                migrations.CreateModel(
                    name="TravelItinerary",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "user",
                            models.ForeignKey(
                                db_index=False,
                                on_delete=django.db.models.deletion.CASCADE,
                                related_name="itineraries",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "itinerary_uuid",
                            models.UUIDField(blank=True, db_default=RandomUUID(), unique=True),
                        ),
                        ("title", models.CharField(blank=True, max_length=255, null=True)),
                        ("description", models.TextField(blank=True, null=True)),
                        ("data", models.JSONField(blank=True)),
                        ("created_at", models.DateTimeField(blank=True, db_default=Now())),
                        ("updated_at", models.DateTimeField(blank=True, db_default=Now())),
                        (
                            "is_deleted",
                            models.BooleanField(
                                blank=True, db_default=False, verbose_name="deleted"
                            ),
                        ),
                        ("deleted_at", models.DateTimeField(blank=True, null=True)),
                        ("version", models.IntegerField(blank=True, db_default=1)),
                        ("last_alert_sent_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "alerts_sent_count",
                            models.IntegerField(blank=True, db_default=0, null=True),
                        ),
                    ],
                    options={
                        "db_table": "travel_itineraries",
                        "ordering": ("-id",),
                        "verbose_name_plural": "travel itineraries",
                        "indexes": [
                            models.Index(
                                fields=["user", "-created_at"],
                                name="idx_itineraries_user_created",
                                condition=Q(is_deleted=False),
                            ),
                            models.Index(
                                fields=["itinerary_uuid"],
                                name="idx_itineraries_uuid",
                                condition=Q(is_deleted=False),
                            ),
                            models.Index(
                                fields=["user"],
                                name="idx_itineraries_user_active",
                                condition=Q(is_deleted=False),
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(sql=step("0001_travel_itineraries.sql")),
        migrations.RunSQL(
            sql=(Path(__file__).with_name("sql") / "0001_itinerary_uuid.sql").read_text("utf-8")
        ),
        RequireValue(table="travel_itineraries", column="itinerary_uuid"),
        AddConstraint(
            table="travel_itineraries",
            name="fk_user",
            columns=["user_id"],
            foreign_key="REFERENCES users ON DELETE CASCADE",
        ),
        AddConstraint(
            table="travel_itineraries",
            name="travel_itineraries_itinerary_uuid_key",
            columns=["itinerary_uuid"],
        ),
        BuildIndex(
            name="idx_itineraries_user_created",
            on="travel_itineraries (user_id, created_at DESC) WHERE is_deleted = false",
            removed=False,
        ),
        BuildIndex(
            name="idx_itineraries_uuid",
            on="travel_itineraries (itinerary_uuid) WHERE is_deleted = false",
            removed=False,
        ),
        BuildIndex(
            name="idx_itineraries_user_active",
            on="travel_itineraries (user_id) WHERE is_deleted = false",
            removed=False,
        ),
    ]
