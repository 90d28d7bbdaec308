"""Keeps `user_usage.chat_messages_used`, the count of the month that existed before us.

It is no declared counter and is not audited: the chat endpoint of the existing application adds to
it as well, so no query could tell what it should be.
"""

from __future__ import annotations

import pgtrigger

from sentinel.counters import DefinerTrigger

# What the legacy trigger did for each message, done once for each statement: same row, same month,
# same figures. ON CONFLICT reads the rows in the order of their keys, so two statements that count
# for the same users cannot wait for each other in a circle. The months are those of the session's
# time zone, as they were. Owners are looked up thread by thread: the plan of a join is made for the
# first statement of a session, and after a bulk insert it read all threads for every message.
# Messages of one thread, the common case, are counted by an UPDATE: the statement that counts for
# several users and may have to add them takes half as long again.
COUNT_MESSAGES_OF_THE_MONTH = """\
    SELECT pg_catalog.min(message.thread_id), pg_catalog.max(message.thread_id), pg_catalog.count(*)
      INTO first_thread, last_thread, messages
      FROM new_values AS message;
    IF first_thread = last_thread THEN
        UPDATE public.user_usage AS usage
           SET chat_messages_used = CASE
                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
                   THEN usage.chat_messages_used + messages
                   ELSE messages
               END,
               last_reset = CASE
                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
                   THEN usage.last_reset
                   ELSE this_month
               END
         WHERE usage.user_id = (SELECT thread.user_id
                                  FROM public.chat_threads AS thread
                                 WHERE thread.id = first_thread)
           AND usage.last_reset IS NOT NULL;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    INSERT INTO public.user_usage AS usage (user_id, chat_messages_used)
    SELECT owned.user_id, pg_catalog.sum(owned.messages)
      FROM (SELECT (SELECT thread.user_id
                      FROM public.chat_threads AS thread
                     WHERE thread.id = added.thread_id) AS user_id,
                   added.messages
              FROM (SELECT message.thread_id, pg_catalog.count(*) AS messages
                      FROM new_values AS message
                     GROUP BY message.thread_id) AS added) AS owned
     WHERE owned.user_id IS NOT NULL
     GROUP BY owned.user_id
     ORDER BY owned.user_id
    ON CONFLICT (user_id) DO UPDATE
       SET chat_messages_used = CASE
               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
               THEN usage.chat_messages_used + excluded.chat_messages_used
               ELSE excluded.chat_messages_used
           END,
           last_reset = CASE
               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
               THEN usage.last_reset
               ELSE this_month
           END
     WHERE usage.last_reset IS NOT NULL;
    RETURN NULL;
"""

COUNT_MONTHLY_MESSAGES = DefinerTrigger(
    # Behind the counter in the order of names: threads are locked before user_usage, the order
    # that the existing application knows from the legacy trigger.
    name="user_usage_on_insert",
    level=pgtrigger.Statement,
    when=pgtrigger.After,
    operation=pgtrigger.Insert,
    referencing=pgtrigger.Referencing(new="new_values"),
    declare=[
        ("this_month", "CONSTANT timestamp := pg_catalog.date_trunc('month', localtimestamp)"),
        ("first_thread", "integer"),
        ("last_thread", "integer"),
        ("messages", "bigint"),
    ],
    func=COUNT_MESSAGES_OF_THE_MONTH,
)
