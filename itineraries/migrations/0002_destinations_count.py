from pathlib import Path

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import sentinel.counters.template
from sentinel.migrating import BuildIndex, RequireValue

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    """The counter: column, trigger, index, backfill. Each step can be done again."""

    atomic = False

    dependencies = [("itineraries", "0001_legacy")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE travel_itineraries
                    ADD COLUMN IF NOT EXISTS destinations_count integer NOT NULL DEFAULT 0
            """,
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.AddField(
                    model_name="travelitinerary",
                    name="destinations_count",
                    field=models.IntegerField(
                        blank=True, db_default=0, verbose_name="destinations"
                    ),
                ),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="travelitinerary",
            trigger=pgtrigger.compiler.Trigger(
                name="destinations_count_derive",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    func="    IF TG_OP = 'UPDATE'\n        AND pg_catalog.current_setting('sentinel.derive_alone', true) = 'on' THEN\n        NEW := OLD;\n    END IF;\n    NEW.\"destinations_count\" := CASE WHEN pg_catalog.jsonb_typeof(NEW.\"data\" -> 'waypoints') = 'array' THEN pg_catalog.jsonb_array_length(NEW.\"data\" -> 'waypoints') ELSE 0 END;\n    RETURN NEW;",
                    hash="c6613f4ef65e027eba3d2686ab82f7cec2857ab3",
                    operation="INSERT OR UPDATE",
                    pgid="zzz_destinations_count_derive_07f30",
                    table="travel_itineraries",
                    when="BEFORE",
                ),
            ),
        ),
        BuildIndex(
            name="idx_travel_itineraries_destinations_count",
            on="travel_itineraries (user_id, destinations_count) WHERE is_deleted = false",
            removed=False,
        ),
        migrations.RunSQL(
            sql=(SQL / "0002_backfill.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
        ),
        # Where somebody else has made the column, it may be without.
        RequireValue(table="travel_itineraries", column="destinations_count", default="0"),
        migrations.RunSQL(
            sql=migrations.RunSQL.noop,
            reverse_sql=(SQL / "0002_drop_counter.sql").read_text(encoding="utf-8"),
        ),
    ]
