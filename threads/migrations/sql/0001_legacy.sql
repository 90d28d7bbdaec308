-- Chat threads and their messages: the schema of the deployed system as it stands, the trigger
-- included that recounts the whole thread at every message.
--
-- Runs on an empty database (makes everything), on a complete one (changes nothing) and on a
-- partial one (adds what is missing). Follows legacy_check.sql, in the same transaction.

-- ---------------------------------------------------------------------------------- expected --

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('chat_threads', 'id',                  'integer',                  'key',      NULL),
    ('chat_threads', 'user_id',             'integer',                  'required', 'users'),
    ('chat_threads', 'thread_uuid',         'uuid',                     NULL,       NULL),
    ('chat_threads', 'title',               'text',                     'required', NULL),
    ('chat_threads', 'investigation_topic', 'text',                     NULL,       NULL),
    ('chat_threads', 'message_count',       'integer',                  NULL,       NULL),
    ('chat_threads', 'is_archived',         'boolean',                  NULL,       NULL),
    ('chat_threads', 'is_deleted',          'boolean',                  NULL,       NULL),
    ('chat_threads', 'archived_at',         'timestamp with time zone', NULL,       NULL),
    ('chat_threads', 'created_at',          'timestamp with time zone', NULL,       NULL),
    ('chat_threads', 'updated_at',          'timestamp with time zone', NULL,       NULL),

    ('chat_messages', 'id',         'integer',                  'key',      NULL),
    ('chat_messages', 'thread_id',  'integer',                  'required', 'chat_threads'),
    ('chat_messages', 'role',       'character varying(20)',    'required', NULL),
    ('chat_messages', 'content',    'text',                     'required', NULL),
    ('chat_messages', 'timestamp',  'timestamp with time zone', NULL,       NULL),
    ('chat_messages', 'created_at', 'timestamp with time zone', NULL,       NULL);

SELECT pg_temp.refuse_contradictions();

-- ------------------------------------------------------------------------------ chat_threads --

CREATE TABLE IF NOT EXISTS chat_threads (
    id serial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('chat_threads') THEN
        ALTER TABLE chat_threads
            ADD COLUMN IF NOT EXISTS user_id             integer NOT NULL,
            ADD COLUMN IF NOT EXISTS thread_uuid         uuid DEFAULT gen_random_uuid(),
            ADD COLUMN IF NOT EXISTS title               text NOT NULL,
            ADD COLUMN IF NOT EXISTS investigation_topic text,
            ADD COLUMN IF NOT EXISTS message_count       integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS is_archived         boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS is_deleted          boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS archived_at         timestamptz,
            ADD COLUMN IF NOT EXISTS created_at          timestamptz DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at          timestamptz DEFAULT now();
    END IF;

    IF NOT pg_temp.has_constraint('chat_threads', 'user_id', 'f') THEN
        ALTER TABLE chat_threads ADD CONSTRAINT chat_threads_user_id_fkey
            FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
    END IF;

    IF NOT pg_temp.is_unique('chat_threads', 'thread_uuid') THEN
        ALTER TABLE chat_threads ADD CONSTRAINT chat_threads_thread_uuid_key UNIQUE (thread_uuid);
    END IF;

    IF to_regclass('idx_threads_user') IS NULL THEN
        CREATE INDEX idx_threads_user ON chat_threads (user_id, created_at DESC);
    END IF;

    IF to_regclass('idx_threads_active') IS NULL THEN
        CREATE INDEX idx_threads_active
            ON chat_threads (user_id, is_archived, is_deleted, created_at DESC);
    END IF;

    IF to_regclass('idx_threads_uuid') IS NULL THEN
        CREATE INDEX idx_threads_uuid ON chat_threads (thread_uuid);
    END IF;

    IF to_regclass('user_active_threads') IS NULL THEN
        -- active_count includes the archived threads: that is what its readers know.
        CREATE VIEW user_active_threads AS
            SELECT user_id,
                   count(*) AS active_count,
                   count(*) FILTER (WHERE is_archived) AS archived_count
              FROM chat_threads
             WHERE is_deleted = false
             GROUP BY user_id;
    END IF;
END
$$;

-- ----------------------------------------------------------------------------- chat_messages --

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

    IF NOT pg_temp.has_constraint('chat_messages', 'thread_id', 'f') THEN
        ALTER TABLE chat_messages ADD CONSTRAINT chat_messages_thread_id_fkey
            FOREIGN KEY (thread_id) REFERENCES chat_threads ON DELETE CASCADE;
    END IF;

    IF NOT pg_temp.has_constraint('chat_messages', 'role', 'c') THEN
        ALTER TABLE chat_messages ADD CONSTRAINT chat_messages_role_check
            CHECK (role IN ('user', 'assistant', 'system'));
    END IF;

    IF to_regclass('idx_messages_thread') IS NULL THEN
        CREATE INDEX idx_messages_thread ON chat_messages (thread_id, created_at);
    END IF;
END
$$;

-- ----------------------------------------------------------------------------------- trigger --

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
