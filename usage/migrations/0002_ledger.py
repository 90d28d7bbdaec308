from pathlib import Path

import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now

import sentinel.counters.template
from sentinel.migrating import BuildIndex

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    """The ledger below the months: tables, adoption, opening events, sums, indexes, functions.

    In this order nothing is lost while others write: what they write into a month from the second
    step on becomes an event, what stood there before is made one by the third, and only then do
    events count. Each step is a transaction of its own and can be done again.

    The way back keeps the ledger: the next takeover adds what has come in between.
    """

    atomic = False

    dependencies = [("usage", "0001_legacy")]

    operations = [
        migrations.RunSQL(
            sql=(SQL / "0002_ledger.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.CreateModel(
                    name="FeatureUsageEvent",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        (
                            "user",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="feature_usage_events",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                        (
                            "feature",
                            models.CharField(
                                max_length=50,
                                validators=[django.core.validators.MinLengthValidator(1)],
                            ),
                        ),
                        (
                            "quantity",
                            models.IntegerField(db_default=1, help_text="Negative to give back."),
                        ),
                        ("occurred_at", models.DateTimeField(db_default=Now())),
                        ("recorded_at", models.DateTimeField(db_default=Now())),
                        (
                            "idempotency_key",
                            models.CharField(
                                blank=True,
                                help_text="An event with a key that the user has used already is not counted again.",
                                max_length=200,
                                null=True,
                            ),
                        ),
                        (
                            "source",
                            models.CharField(
                                db_default="direct",
                                help_text="Where the event comes from.",
                                max_length=50,
                            ),
                        ),
                        (
                            "reason",
                            models.TextField(
                                blank=True, help_text="Why a quantity is negative.", null=True
                            ),
                        ),
                        (
                            "adopted",
                            models.BooleanField(
                                db_default=False,
                                help_text="Written into the month by somebody else, and adopted here.",
                            ),
                        ),
                        (
                            "adopted_period",
                            models.DateField(
                                blank=True,
                                help_text="The month that it was written into.",
                                null=True,
                            ),
                        ),
                        (
                            "period_start",
                            models.GeneratedField(
                                db_persist=True,
                                expression=django.db.models.expressions.RawSQL(
                                    "coalesce(adopted_period, (date_trunc('month', occurred_at AT TIME ZONE 'UTC'))::date)",
                                    (),
                                ),
                                output_field=models.DateField(),
                                verbose_name="month",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "usage event",
                        "db_table": "feature_usage_events",
                        "ordering": ("-id",),
                        "indexes": [
                            models.Index(
                                fields=["user", "feature", "period_start"],
                                name="idx_feature_usage_events_month",
                            )
                        ],
                        "constraints": [
                            models.UniqueConstraint(
                                condition=models.Q(("idempotency_key__isnull", False)),
                                fields=("user", "idempotency_key"),
                                name="feature_usage_events_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(("quantity", 0), _negated=True),
                                    models.Q(
                                        ("quantity__gt", 0),
                                        ("reason__isnull", False),
                                        _connector="OR",
                                    ),
                                ),
                                name="feature_usage_events_quantity",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    models.Q(
                                        ("idempotency_key__startswith", "refund:"), _negated=True
                                    ),
                                    ("source", "refund"),
                                    _connector="OR",
                                ),
                                name="feature_usage_events_refund_key",
                            ),
                            models.CheckConstraint(
                                condition=models.Q(
                                    ("adopted", True),
                                    ("adopted_period__isnull", True),
                                    _connector="OR",
                                ),
                                name="feature_usage_events_adopted",
                            ),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(
            sql="""
                ALTER TABLE feature_usage
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now()
            """,
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.AddField(
                    model_name="featureusage",
                    name="updated_at",
                    field=models.DateTimeField(blank=True, db_default=Now(), null=True),
                ),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_guard_row",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition="WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)",
                    func='    IF pg_catalog.current_setting(\'sentinel.repair\', true) = \'on\' THEN\n        IF NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL THEN\n            SELECT coalesce(pg_catalog.sum("quantity"), 0)\n              INTO NEW."usage_count"\n              FROM "public"."feature_usage_events"\n             WHERE "feature_usage_events"."user_id" = NEW."user_id" AND "feature_usage_events"."feature" = NEW."feature" AND "feature_usage_events"."period_start" = NEW."period_start";\n        END IF;\n        RETURN NEW;\n    END IF;\n    IF NEW."usage_count" IS NULL AND NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL THEN\n        NEW."usage_count" := 0;\n    END IF;\n    IF TG_OP = \'UPDATE\' THEN\n        NEW."updated_at" := pg_catalog.now();\n    END IF;\n    RETURN NEW;',
                    hash="459c493cc0de580151fb6afe5a8fa46af0bcf84b",
                    operation="INSERT OR UPDATE",
                    pgid="pgtrigger_usage_count_guard_row_a5df9",
                    table="feature_usage",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_guard_key",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition='WHEN (OLD."user_id" IS DISTINCT FROM NEW."user_id" OR OLD."feature" IS DISTINCT FROM NEW."feature" OR OLD."period_start" IS DISTINCT FROM NEW."period_start")',
                    func='    RAISE EXCEPTION \'counter %: the key of a row of % cannot be changed (% to %)\',\n                    \'feature_usage.usage_count\', \'feature_usage\',\n                    pg_catalog.jsonb_build_array(OLD."user_id", OLD."feature", OLD."period_start"), pg_catalog.jsonb_build_array(NEW."user_id", NEW."feature", NEW."period_start")\n        USING ERRCODE = \'restrict_violation\',\n              HINT = \'Insert a row with the other key, and delete this one.\';',
                    hash="68c9c86320e6d12640513064394b5ab849b53a1a",
                    operation='UPDATE OF "user_id", "feature", "period_start"',
                    pgid="pgtrigger_usage_count_guard_key_afe16",
                    table="feature_usage",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_adopt_insert",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition="WHEN (current_setting('sentinel.repair', true) IS DISTINCT FROM 'on' AND ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE))",
                    declare='DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text;',
                    func='    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n    INSERT INTO "public"."feature_usage_events" ("user_id", "feature", "adopted_period", "adopted", "source", "reason", "quantity")\n    SELECT written.user_id, written.feature, written.period_start, true, \'adopted\', \'written by \' || session_user, written."usage_count"\n      FROM new_values AS written\n     WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL AND written."usage_count" <> 0;\n    IF pg_catalog.current_setting(\'sentinel.recount\', true) = \'on\' THEN\n        -- Perhaps put into the place of rows that the same statement deleted: see delete_events.\n        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start") INTO "changed_user_id", "changed_feature", "changed_period_start" FROM new_values AS change WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL;\n        WITH updated AS (\n            UPDATE "public"."feature_usage"\n               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")\n                                          FROM "public"."feature_usage_events"\n                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")\n             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n        )\n        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n    END IF;\n    RETURN NULL;',
                    hash="f43f488617bf792284428d104321212d00ae1f18",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_usage_count_adopt_insert_a2e96",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="feature_usage",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_adopt_update",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition="WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)",
                    declare="DECLARE engine text;",
                    func='    IF (OLD."user_id" IS DISTINCT FROM NEW."user_id" OR OLD."feature" IS DISTINCT FROM NEW."feature" OR OLD."period_start" IS DISTINCT FROM NEW."period_start") THEN\n        RAISE EXCEPTION \'counter %: the key of a row of % cannot be changed (% to %)\',\n                    \'feature_usage.usage_count\', \'feature_usage\',\n                    pg_catalog.jsonb_build_array(OLD."user_id", OLD."feature", OLD."period_start"), pg_catalog.jsonb_build_array(NEW."user_id", NEW."feature", NEW."period_start")\n        USING ERRCODE = \'restrict_violation\',\n              HINT = \'Insert a row with the other key, and delete this one.\';\n    END IF;\n    IF NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL AND coalesce(NEW."usage_count", 0) <> coalesce(OLD."usage_count", 0)\n       AND pg_catalog.current_setting(\'sentinel.repair\', true) IS DISTINCT FROM \'on\' THEN\n        engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text,\n                                        true);\n        INSERT INTO "public"."feature_usage_events" ("user_id", "feature", "adopted_period", "adopted", "source", "reason", "quantity")\n        VALUES (NEW.user_id, NEW.feature, NEW.period_start, true, \'adopted\', \'written by \' || session_user, coalesce(NEW."usage_count", 0) - coalesce(OLD."usage_count", 0));\n    END IF;\n    RETURN NULL;',
                    hash="baea192705a37032712f5a30743a783b6aff05f0",
                    operation="UPDATE",
                    pgid="pgtrigger_usage_count_adopt_update_c7bff",
                    table="feature_usage",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_on_row_delete",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    declare='DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text;',
                    func='    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n    PERFORM pg_catalog.set_config(\'sentinel.recount\', \'on\', true);\n    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start") INTO "changed_user_id", "changed_feature", "changed_period_start" FROM old_values AS change WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL;\n    DELETE FROM "public"."feature_usage_events"\n     USING unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")\n     WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start";\n        WITH updated AS (\n            UPDATE "public"."feature_usage"\n               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")\n                                          FROM "public"."feature_usage_events"\n                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")\n             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n        )\n        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n    RETURN NULL;',
                    hash="28a29fc2aff40d69d5bad64589a4350331b0f9c4",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_usage_count_on_row_delete_eee4c",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="feature_usage",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusage",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_on_row_truncate",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    declare="DECLARE engine text;",
                    func='    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n    DELETE FROM "public"."feature_usage_events";\n    RETURN NULL;',
                    hash="00a96e4fad2347f248d3a2b4723c6e62da2da9bc",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_usage_count_on_row_truncate_fe98f",
                    table="feature_usage",
                    when="AFTER",
                ),
            ),
        ),
        migrations.RunSQL(
            sql=(SQL / "0002_adopt.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusageevent",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_on_insert",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition="WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)",
                    declare="DECLARE \"changed_user_id\" integer[]; \"changed_feature\" varchar(50)[]; \"changed_period_start\" date[]; same_key boolean; engine text; deltas bigint[]; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';",
                    func='    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)\n      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas\n      FROM (SELECT "user_id", "feature", "period_start", pg_catalog.sum("quantity") AS delta\n              FROM new_values\n             GROUP BY "user_id", "feature", "period_start") AS change;\n    IF deltas IS NULL THEN\n        RETURN NULL;\n    END IF;\n\n    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n\n    IF pg_catalog.cardinality(deltas) = 1 AND NOT recounting THEN\n        UPDATE "public"."feature_usage"\n           SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + deltas[1], "updated_at" = pg_catalog.now()\n         WHERE "feature_usage"."user_id" = (SELECT "changed_user_id"[1]) AND "feature_usage"."feature" = (SELECT "changed_feature"[1]) AND "feature_usage"."period_start" = (SELECT "changed_period_start"[1])\n        RETURNING "feature_usage"."user_id" = "changed_user_id"[1] AND "feature_usage"."feature" = "changed_feature"[1] AND "feature_usage"."period_start" = "changed_period_start"[1] INTO same_key;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n        IF FOUND THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n\n    FOR round IN 1 .. 5 LOOP\n        WITH created AS (\n            INSERT INTO "public"."feature_usage" ("user_id", "feature", "period_start", "period_end", "usage_count")\n            SELECT "user_id", "feature", "period_start", (("period_start" + interval \'1 month\') - interval \'1 day\')::date, change.delta\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n             WHERE change.delta >= 0\n               AND NOT EXISTS (SELECT FROM "public"."feature_usage" WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start")\n             ORDER BY "user_id", "feature", "period_start"\n                ON CONFLICT ("user_id", "feature", "period_start") DO NOTHING\n            RETURNING "user_id", "feature", "period_start"\n        )\n        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)\n          INTO "changed_user_id", "changed_feature", "changed_period_start", deltas\n          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n         WHERE NOT EXISTS (SELECT FROM created WHERE "created"."user_id" = "change"."user_id" AND "created"."feature" = "change"."feature" AND "created"."period_start" = "change"."period_start");\n        EXIT WHEN deltas IS NULL;\n\n        PERFORM FROM "public"."feature_usage"\n          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"\n                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))\n          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"\n            FOR NO KEY UPDATE;\n\n        WITH updated AS (\n            UPDATE "public"."feature_usage"\n               SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + change.delta, "updated_at" = pg_catalog.now()\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n            RETURNING "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start", "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n        )\n        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta),\n               (SELECT pg_catalog.bool_and(updated.same_key) FROM updated)\n          INTO "changed_user_id", "changed_feature", "changed_period_start", deltas, same_key\n          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n         WHERE NOT EXISTS (SELECT FROM updated WHERE "updated"."user_id" = "change"."user_id" AND "updated"."feature" = "change"."feature" AND "updated"."period_start" = "change"."period_start");\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n        EXIT WHEN deltas IS NULL;\n    END LOOP;\n    IF deltas IS NULL THEN\n        IF recounting THEN\n    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)\n      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas\n      FROM (SELECT "user_id", "feature", "period_start", pg_catalog.sum("quantity") AS delta\n              FROM new_values\n             GROUP BY "user_id", "feature", "period_start") AS change;\n        PERFORM FROM "public"."feature_usage"\n          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"\n                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))\n          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"\n            FOR NO KEY UPDATE;\n        WITH updated AS (\n            UPDATE "public"."feature_usage"\n               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")\n                                          FROM "public"."feature_usage_events"\n                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")\n             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n        )\n        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n        END IF;\n        RETURN NULL;\n    END IF;\n\n    -- A sum that reaches no row would be lost in silence.\n    IF EXISTS (SELECT FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n                WHERE change.delta < 0\n                  AND NOT EXISTS (SELECT FROM "public"."feature_usage" WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start")) THEN\n        RAISE EXCEPTION \'counter %: there is nothing in % that a negative quantity could be \'\n                        \'taken from\', \'feature_usage.usage_count\', \'feature_usage\'\n            USING ERRCODE = \'check_violation\',\n                  HINT = \'A correction needs a row with the same key to correct.\';\n    END IF;\n    RAISE EXCEPTION \'counter %: a trigger of % kept the sum from being written\',\n                    \'feature_usage.usage_count\', \'feature_usage\'\n        USING ERRCODE = \'triggered_action_exception\',\n              HINT = \'A BEFORE trigger returned NULL. Let it return NEW.\';',
                    hash="3d87b709379211a0668fbb1c2827a17359f59548",
                    level="STATEMENT",
                    operation="INSERT",
                    pgid="pgtrigger_usage_count_on_insert_17e4d",
                    referencing="REFERENCING NEW TABLE AS new_values ",
                    table="feature_usage_events",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusageevent",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_on_delete",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    condition="WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)",
                    declare="DECLARE \"changed_user_id\" integer[]; \"changed_feature\" varchar(50)[]; \"changed_period_start\" date[]; same_key boolean; engine text; deltas bigint[]; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';",
                    func='    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)\n      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas\n      FROM (SELECT "user_id", "feature", "period_start", -pg_catalog.sum("quantity") AS delta\n              FROM old_values\n             GROUP BY "user_id", "feature", "period_start") AS change;\n    IF deltas IS NULL THEN\n        RETURN NULL;\n    END IF;\n\n    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n        PERFORM FROM "public"."feature_usage"\n          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"\n                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))\n          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"\n            FOR NO KEY UPDATE;\n    IF recounting THEN\n        WITH updated AS (\n            UPDATE "public"."feature_usage"\n               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")\n                                          FROM "public"."feature_usage_events"\n                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()\n              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")\n             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n        )\n        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n        RETURN NULL;\n    END IF;\n    WITH updated AS (\n        UPDATE "public"."feature_usage"\n           SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + change.delta, "updated_at" = pg_catalog.now()\n          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)\n         WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"\n        RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key\n    )\n    SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;\n        IF NOT same_key THEN\n            RAISE EXCEPTION \'counter %: a trigger of % has given a row another key\',\n                            \'feature_usage.usage_count\', \'feature_usage\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE trigger changed NEW. Let it leave the key alone.\';\n        END IF;\n    RETURN NULL;',
                    hash="279d94273c158ac9e96eed062148ce4e7efd3bb4",
                    level="STATEMENT",
                    operation="DELETE",
                    pgid="pgtrigger_usage_count_on_delete_50441",
                    referencing="REFERENCING OLD TABLE AS old_values ",
                    table="feature_usage_events",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusageevent",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_on_truncate",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    declare="DECLARE engine text;",
                    func='    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n    UPDATE "public"."feature_usage"\n       SET "usage_count" = 0, "updated_at" = pg_catalog.now()\n     WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL AND "usage_count" IS DISTINCT FROM 0;\n    RETURN NULL;',
                    hash="7fcf061fd59fe7b0de33a386b57ea9b62c44a2c1",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_usage_count_on_truncate_1d18f",
                    table="feature_usage_events",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="featureusageevent",
            trigger=pgtrigger.compiler.Trigger(
                name="usage_count_append_only",
                sql=sentinel.counters.template.DefinerTriggerSqlV1(
                    func="    RAISE EXCEPTION 'an event of % cannot be changed', 'feature_usage_events'\n        USING ERRCODE = 'restrict_violation',\n              HINT = 'Append another event that makes up for it, with its reason.';",
                    hash="d932ad6497a2295b61be825854853c6b4f8c3eef",
                    level="STATEMENT",
                    operation="UPDATE",
                    pgid="pgtrigger_usage_count_append_only_5fc86",
                    table="feature_usage_events",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(
            sql=(SQL / "0002_statistics.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,  # by 0002_stop_adopting.sql
        ),
        BuildIndex(
            name="idx_feature_usage_user_feature_period",
            on="feature_usage (user_id, feature, period_start DESC)",
            removed=False,
        ),
        BuildIndex(
            name="idx_feature_usage_period_start",
            on="feature_usage (period_start)",
            removed=False,
            state_operations=[
                migrations.AddIndex(
                    model_name="featureusage",
                    index=models.Index(
                        fields=["period_start"], name="idx_feature_usage_period_start"
                    ),
                ),
            ],
        ),
        BuildIndex(
            name="idx_feature_usage_updated_at",
            on="feature_usage (updated_at DESC)",
            removed=False,
            state_operations=[
                migrations.AddIndex(
                    model_name="featureusage",
                    index=models.Index(fields=["-updated_at"], name="idx_feature_usage_updated_at"),
                ),
            ],
        ),
        # The way back, from below: a transaction for each table, after the functions.
        migrations.RunSQL(
            sql=migrations.RunSQL.noop,
            reverse_sql=(SQL / "0002_stop_adopting.sql").read_text(encoding="utf-8"),
        ),
        migrations.RunSQL(
            sql=migrations.RunSQL.noop,
            reverse_sql=(SQL / "0002_stop_counting.sql").read_text(encoding="utf-8"),
        ),
        migrations.RunSQL(
            sql="\n".join(
                (SQL / name).read_text(encoding="utf-8")
                for name in ("0002_functions.sql", "grant_functions.sql")
            ),
            reverse_sql=(SQL / "0002_functions_reverse.sql").read_text(encoding="utf-8"),
        ),
    ]
