from pathlib import Path

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import sentinel.counters.template
from sentinel.migrating import BuildIndex, InOneTransaction, RequireValue

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    """The counter: column, guards, counting triggers, index, backfill, in this order.

    Nobody reads the counter before the backfill is through, and every message that is written
    meanwhile is counted: a thread is exact from the moment that the backfill has passed it. Each
    step is a transaction of its own and can be done again, so a migration that was killed is run
    again.
    """

    atomic = False

    dependencies = [("threads", "0001_legacy")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE chat_threads
                    ADD COLUMN IF NOT EXISTS thread_messages_count integer NOT NULL DEFAULT 0
            """,
            reverse_sql=migrations.RunSQL.noop,
            state_operations=[
                migrations.AddField(
                    model_name="chatthread",
                    name="thread_messages_count",
                    field=models.IntegerField(blank=True, db_default=0, verbose_name="messages"),
                ),
            ],
        ),
        # At once: with the guards alone the messages of the next moment would be missing in
        # message_count, with the counting triggers alone they would be in it twice. The messages are
        # locked first, as most writers do. The way back has its own order, below.
        InOneTransaction(
            lock="chat_messages, chat_threads IN SHARE ROW EXCLUSIVE MODE",
            apart_backwards=True,
            operations=[
                pgtrigger.migrations.AddTrigger(
                    model_name="chatthread",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_guard_insert",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            condition='WHEN (NEW."thread_messages_count" IS DISTINCT FROM 0 OR NEW."message_count" IS DISTINCT FROM 0)',
                            func='    NEW."thread_messages_count" := 0;\n    NEW."message_count" := 0;\n    RETURN NEW;',
                            hash="b27fb614acf50ca1dc409c9c0fd26ddb8164ee93",
                            operation="INSERT",
                            pgid="pgtrigger_thread_messages_count_guard_insert_3ebbe",
                            table="chat_threads",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatthread",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_guard_update",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            condition="WHEN ((current_setting('sentinel.engine', true) = CASE WHEN pg_trigger_depth() > 0 THEN pg_trigger_depth()::text WHEN has_table_privilege(OLD.tableoid, 'TRIGGER') THEN pg_current_xact_id()::text ELSE NULL END) IS NOT TRUE)",
                            declare="DECLARE recount text;",
                            func='    IF NEW."thread_messages_count" IS DISTINCT FROM OLD."thread_messages_count" THEN\n        SELECT pg_catalog.count(*)\n          INTO NEW."thread_messages_count"\n          FROM "public"."chat_messages"\n         WHERE "chat_messages"."thread_id" = NEW."id";\n        NEW."message_count" := NEW."thread_messages_count";\n        recount := pg_catalog.set_config(\'sentinel.recount\', \'on\', true);\n    ELSE\n        NEW."message_count" := OLD."message_count";\n    END IF;\n    RETURN NEW;',
                            hash="fa67637b5f46d156218a1fe6a8b1b17a9e9111d9",
                            operation='UPDATE OF "thread_messages_count", "message_count"',
                            pgid="pgtrigger_thread_messages_count_guard_update_9b413",
                            table="chat_threads",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatthread",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_guard_key",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            condition='WHEN (OLD."id" IS DISTINCT FROM NEW."id")',
                            func="    RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',\n                    'chat_threads.thread_messages_count', 'chat_threads', OLD.\"id\", NEW.\"id\"\n        USING ERRCODE = 'restrict_violation',\n              HINT = 'Insert a new row, move the children to it, and delete the old one.';",
                            hash="e176d2e9e65db147d255c82a23940038d6d4d5e1",
                            operation='UPDATE OF "id"',
                            pgid="pgtrigger_thread_messages_count_guard_key_4f852",
                            table="chat_threads",
                            when="BEFORE",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatmessage",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_on_insert",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            declare="DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';",
                            func='    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)\n      INTO changed_keys, deltas\n      FROM (SELECT "chat_messages"."thread_id" AS key, pg_catalog.count(*) AS delta\n              FROM new_values AS "chat_messages"\n             WHERE "chat_messages"."thread_id" IS NOT NULL\n             GROUP BY "chat_messages"."thread_id") AS change;\n    IF changed_keys IS NULL THEN\n        RETURN NULL;\n    END IF;\n\n    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n\n    IF recounting THEN\n        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote\n        -- these rows, and the guard\'s count may include them already: count again.\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual, "updated_at" = pg_catalog.now()\n          FROM (SELECT changed.key,\n                       (SELECT pg_catalog.count(*)\n                          FROM "public"."chat_messages"\n                         WHERE "chat_messages"."thread_id" = changed.key) AS actual\n                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted\n         WHERE "chat_threads"."id" = counted.key;\n    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1], "updated_at" = pg_catalog.now()\n         WHERE "chat_threads"."id" = changed_keys[1];\n    ELSE\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta, "updated_at" = pg_catalog.now()\n          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n         WHERE "chat_threads"."id" = change.key;\n    END IF;\n\n    GET DIAGNOSTICS written = ROW_COUNT;\n    IF written < pg_catalog.cardinality(changed_keys) THEN\n        -- Parents that are being deleted are gone already when a cascade reaches their children.\n        -- Anything else would be a count that is silently lost.\n        IF written < (SELECT pg_catalog.count(*)\n                        FROM "public"."chat_threads"\n                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN\n            RAISE EXCEPTION \'counter %: a trigger of % kept the count from being written\',\n                            \'chat_threads.thread_messages_count\', \'chat_threads\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE UPDATE trigger returned NULL. Let it return NEW.\';\n        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n                       WHERE change.delta > 0\n                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"\n                                          WHERE "chat_threads"."id" = change.key)) THEN\n            RAISE EXCEPTION \'counter %: a row of % came before its row of %\',\n                            \'chat_threads.thread_messages_count\', \'chat_messages\', \'chat_threads\'\n                USING ERRCODE = \'foreign_key_violation\',\n                      HINT = \'Insert the parent first. A deferrable foreign key hides the mistake: \'\n                             \'make it NOT DEFERRABLE.\';\n        END IF;\n    END IF;\n    RETURN NULL;',
                            hash="132a7b536f7df085d5ae5290eb7c3c36be18075f",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_thread_messages_count_on_insert_c2883",
                            referencing="REFERENCING NEW TABLE AS new_values ",
                            table="chat_messages",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatmessage",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_on_update",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            declare="DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';",
                            func='    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)\n      INTO changed_keys, deltas\n      FROM (SELECT moved.key, pg_catalog.sum(moved.delta) AS delta\n              FROM (SELECT "chat_messages"."thread_id" AS key, 1 AS delta\n                      FROM new_values AS "chat_messages"\n                     WHERE "chat_messages"."thread_id" IS NOT NULL\n                     UNION ALL\n                    SELECT "chat_messages"."thread_id", -1\n                      FROM old_values AS "chat_messages"\n                     WHERE "chat_messages"."thread_id" IS NOT NULL) AS moved\n             GROUP BY moved.key\n            HAVING recounting OR pg_catalog.sum(moved.delta) <> 0) AS change;\n    IF changed_keys IS NULL THEN\n        RETURN NULL;\n    END IF;\n\n    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n\n    IF recounting THEN\n        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote\n        -- these rows, and the guard\'s count may include them already: count again.\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual\n          FROM (SELECT changed.key,\n                       (SELECT pg_catalog.count(*)\n                          FROM "public"."chat_messages"\n                         WHERE "chat_messages"."thread_id" = changed.key) AS actual\n                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted\n         WHERE "chat_threads"."id" = counted.key;\n    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1]\n         WHERE "chat_threads"."id" = changed_keys[1];\n    ELSE\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta\n          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n         WHERE "chat_threads"."id" = change.key;\n    END IF;\n\n    GET DIAGNOSTICS written = ROW_COUNT;\n    IF written < pg_catalog.cardinality(changed_keys) THEN\n        -- Parents that are being deleted are gone already when a cascade reaches their children.\n        -- Anything else would be a count that is silently lost.\n        IF written < (SELECT pg_catalog.count(*)\n                        FROM "public"."chat_threads"\n                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN\n            RAISE EXCEPTION \'counter %: a trigger of % kept the count from being written\',\n                            \'chat_threads.thread_messages_count\', \'chat_threads\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE UPDATE trigger returned NULL. Let it return NEW.\';\n        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n                       WHERE change.delta > 0\n                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"\n                                          WHERE "chat_threads"."id" = change.key)) THEN\n            RAISE EXCEPTION \'counter %: a row of % came before its row of %\',\n                            \'chat_threads.thread_messages_count\', \'chat_messages\', \'chat_threads\'\n                USING ERRCODE = \'foreign_key_violation\',\n                      HINT = \'Insert the parent first. A deferrable foreign key hides the mistake: \'\n                             \'make it NOT DEFERRABLE.\';\n        END IF;\n    END IF;\n    RETURN NULL;',
                            hash="432c61d2dd3b0badcf73f71680630ace11c752a4",
                            level="STATEMENT",
                            operation="UPDATE",
                            pgid="pgtrigger_thread_messages_count_on_update_6071b",
                            referencing="REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values ",
                            table="chat_messages",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatmessage",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_on_delete",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            declare="DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';",
                            func='    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)\n      INTO changed_keys, deltas\n      FROM (SELECT "chat_messages"."thread_id" AS key, -pg_catalog.count(*) AS delta\n              FROM old_values AS "chat_messages"\n             WHERE "chat_messages"."thread_id" IS NOT NULL\n             GROUP BY "chat_messages"."thread_id") AS change;\n    IF changed_keys IS NULL THEN\n        RETURN NULL;\n    END IF;\n\n    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n\n    IF recounting THEN\n        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote\n        -- these rows, and the guard\'s count may include them already: count again.\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual\n          FROM (SELECT changed.key,\n                       (SELECT pg_catalog.count(*)\n                          FROM "public"."chat_messages"\n                         WHERE "chat_messages"."thread_id" = changed.key) AS actual\n                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted\n         WHERE "chat_threads"."id" = counted.key;\n    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1]\n         WHERE "chat_threads"."id" = changed_keys[1];\n    ELSE\n        PERFORM FROM "public"."chat_threads"\n          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])\n          ORDER BY "chat_threads"."id"\n            FOR NO KEY UPDATE;\n        UPDATE "public"."chat_threads"\n           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta\n          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n         WHERE "chat_threads"."id" = change.key;\n    END IF;\n\n    GET DIAGNOSTICS written = ROW_COUNT;\n    IF written < pg_catalog.cardinality(changed_keys) THEN\n        -- Parents that are being deleted are gone already when a cascade reaches their children.\n        -- Anything else would be a count that is silently lost.\n        IF written < (SELECT pg_catalog.count(*)\n                        FROM "public"."chat_threads"\n                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN\n            RAISE EXCEPTION \'counter %: a trigger of % kept the count from being written\',\n                            \'chat_threads.thread_messages_count\', \'chat_threads\'\n                USING ERRCODE = \'triggered_action_exception\',\n                      HINT = \'A BEFORE UPDATE trigger returned NULL. Let it return NEW.\';\n        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)\n                       WHERE change.delta > 0\n                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"\n                                          WHERE "chat_threads"."id" = change.key)) THEN\n            RAISE EXCEPTION \'counter %: a row of % came before its row of %\',\n                            \'chat_threads.thread_messages_count\', \'chat_messages\', \'chat_threads\'\n                USING ERRCODE = \'foreign_key_violation\',\n                      HINT = \'Insert the parent first. A deferrable foreign key hides the mistake: \'\n                             \'make it NOT DEFERRABLE.\';\n        END IF;\n    END IF;\n    RETURN NULL;',
                            hash="580a4aaad4d8212484084a3a9baccd32e6261d4c",
                            level="STATEMENT",
                            operation="DELETE",
                            pgid="pgtrigger_thread_messages_count_on_delete_0b656",
                            referencing="REFERENCING OLD TABLE AS old_values ",
                            table="chat_messages",
                            when="AFTER",
                        ),
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatmessage",
                    trigger=pgtrigger.compiler.Trigger(
                        name="thread_messages_count_on_truncate",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            declare="DECLARE engine text;",
                            func='    engine := pg_catalog.set_config(\'sentinel.engine\', pg_catalog.pg_trigger_depth()::text, true);\n    UPDATE "public"."chat_threads" SET "thread_messages_count" = 0, "message_count" = 0 WHERE "thread_messages_count" IS DISTINCT FROM 0 OR "message_count" IS DISTINCT FROM 0;\n    RETURN NULL;',
                            hash="9c20d683d54cbe7311407a73ba3f1ae62bfbf4cb",
                            level="STATEMENT",
                            operation="TRUNCATE",
                            pgid="pgtrigger_thread_messages_count_on_truncate_9b97d",
                            table="chat_messages",
                            when="AFTER",
                        ),
                    ),
                ),
            ],
        ),
        BuildIndex(
            name="idx_chat_threads_messages_count",
            on="chat_threads (user_id, thread_messages_count) WHERE is_deleted = false",
            removed=False,
        ),
        migrations.RunSQL(
            sql=(SQL / "0002_backfill.sql").read_text(encoding="utf-8"),
            reverse_sql=migrations.RunSQL.noop,
        ),
        # Where somebody else has made the column, it may be without.
        RequireValue(table="chat_threads", column="thread_messages_count", default="0"),
        # The way back, from below: a transaction for each table.
        migrations.RunSQL(
            sql=migrations.RunSQL.noop,
            reverse_sql=(SQL / "0002_drop_counter.sql").read_text(encoding="utf-8"),
        ),
        migrations.RunSQL(
            sql=migrations.RunSQL.noop,
            reverse_sql=(SQL / "0002_stop_counting.sql").read_text(encoding="utf-8"),
        ),
    ]
