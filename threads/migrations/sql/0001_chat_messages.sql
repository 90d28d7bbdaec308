-- Messages and the trigger that recounts the whole thread at every message, as the deployed system
-- has them.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS chat_messages (
    id serial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('chat_messages') THEN
        ALTER TABLE chat_messages
            ADD COLUMN IF NOT EXISTS thread_id   integer NOT NULL,
            ADD COLUMN IF NOT EXISTS role        varchar(20) NOT NULL,
            ADD COLUMN IF NOT EXISTS content     text NOT NULL,
            ADD COLUMN IF NOT EXISTS "timestamp" timestamptz DEFAULT now(),
            ADD COLUMN IF NOT EXISTS created_at  timestamptz DEFAULT now();
    END IF;
END
$$;

-- A database may have an older update_thread_stats(), without the part about user_usage. A
-- function that exists stays as it is: what it does is the existing application's business.
DO $$
BEGIN
    IF to_regprocedure('update_thread_stats()') IS NULL THEN
        CREATE FUNCTION update_thread_stats() RETURNS trigger
        LANGUAGE plpgsql AS $function$
        DECLARE
            owner_id   integer;
            this_month timestamp := date_trunc('month', localtimestamp);
        BEGIN
            UPDATE chat_threads
               SET message_count = (
                       SELECT count(*) FROM chat_messages WHERE thread_id = NEW.thread_id
                   ),
                   updated_at = now()
             WHERE id = NEW.thread_id
            RETURNING user_id INTO owner_id;

            -- One more message this month; in another month than last time, the first. A row
            -- whose last_reset is NULL is not counted at all.
            INSERT INTO user_usage AS usage (user_id, chat_messages_used)
            VALUES (owner_id, 1)
            ON CONFLICT (user_id) DO UPDATE
               SET chat_messages_used = CASE
                       WHEN date_trunc('month', usage.last_reset) = this_month
                       THEN usage.chat_messages_used + 1
                       ELSE 1
                   END,
                   last_reset = CASE
                       WHEN date_trunc('month', usage.last_reset) = this_month
                       THEN usage.last_reset
                       ELSE this_month
                   END
             WHERE usage.last_reset IS NOT NULL;

            RETURN NEW;
        END
        $function$;
    END IF;

    IF NOT pg_temp.has_trigger('chat_messages', 'thread_message_added') THEN
        CREATE TRIGGER thread_message_added
            AFTER INSERT ON chat_messages
            FOR EACH ROW EXECUTE FUNCTION update_thread_stats();
    END IF;
END
$$;
