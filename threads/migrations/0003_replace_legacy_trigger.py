from pathlib import Path

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations

import sentinel.counters.template
from sentinel.migrating import InOneTransaction

SQL = Path(__file__).with_name("sql")


class Migration(migrations.Migration):
    """The legacy trigger goes, and what it did for user_usage is done once a statement.

    In one transaction, so that no message is counted twice or not at all. The function stays, as it
    was found: going back needs nothing but its trigger.
    """

    atomic = False

    dependencies = [("threads", "0002_thread_messages_count")]

    operations = [
        InOneTransaction(
            operations=[
                migrations.RunSQL(
                    sql="DROP TRIGGER IF EXISTS thread_message_added ON chat_messages",
                    reverse_sql=(SQL / "0003_replace_legacy_trigger_reverse.sql").read_text(
                        encoding="utf-8"
                    ),
                ),
                pgtrigger.migrations.AddTrigger(
                    model_name="chatmessage",
                    trigger=pgtrigger.compiler.Trigger(
                        name="user_usage_on_insert",
                        sql=sentinel.counters.template.DefinerTriggerSqlV1(
                            declare="DECLARE this_month CONSTANT timestamp := pg_catalog.date_trunc('month', localtimestamp); first_thread integer; last_thread integer; messages bigint;",
                            func="    SELECT pg_catalog.min(message.thread_id), pg_catalog.max(message.thread_id), pg_catalog.count(*)\n      INTO first_thread, last_thread, messages\n      FROM new_values AS message;\n    IF first_thread = last_thread THEN\n        UPDATE public.user_usage AS usage\n           SET chat_messages_used = CASE\n                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month\n                   THEN usage.chat_messages_used + messages\n                   ELSE messages\n               END,\n               last_reset = CASE\n                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month\n                   THEN usage.last_reset\n                   ELSE this_month\n               END\n         WHERE usage.user_id = (SELECT thread.user_id\n                                  FROM public.chat_threads AS thread\n                                 WHERE thread.id = first_thread)\n           AND usage.last_reset IS NOT NULL;\n        IF FOUND THEN\n            RETURN NULL;\n        END IF;\n    END IF;\n\n    INSERT INTO public.user_usage AS usage (user_id, chat_messages_used)\n    SELECT owned.user_id, pg_catalog.sum(owned.messages)\n      FROM (SELECT (SELECT thread.user_id\n                      FROM public.chat_threads AS thread\n                     WHERE thread.id = added.thread_id) AS user_id,\n                   added.messages\n              FROM (SELECT message.thread_id, pg_catalog.count(*) AS messages\n                      FROM new_values AS message\n                     GROUP BY message.thread_id) AS added) AS owned\n     WHERE owned.user_id IS NOT NULL\n     GROUP BY owned.user_id\n     ORDER BY owned.user_id\n    ON CONFLICT (user_id) DO UPDATE\n       SET chat_messages_used = CASE\n               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month\n               THEN usage.chat_messages_used + excluded.chat_messages_used\n               ELSE excluded.chat_messages_used\n           END,\n           last_reset = CASE\n               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month\n               THEN usage.last_reset\n               ELSE this_month\n           END\n     WHERE usage.last_reset IS NOT NULL;\n    RETURN NULL;\n",
                            hash="296e2f69d3b54caa33670497f02a8ab44425c8fd",
                            level="STATEMENT",
                            operation="INSERT",
                            pgid="pgtrigger_user_usage_on_insert_05464",
                            referencing="REFERENCING NEW TABLE AS new_values ",
                            table="chat_messages",
                            when="AFTER",
                        ),
                    ),
                ),
            ],
        ),
    ]
