-- Chat threads, as the deployed system has them.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS chat_threads (
    id serial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('chat_threads') THEN
        ALTER TABLE chat_threads
            ADD COLUMN IF NOT EXISTS user_id             integer NOT NULL,
            ADD COLUMN IF NOT EXISTS thread_uuid         uuid,  -- its default: see below
            ADD COLUMN IF NOT EXISTS title               text NOT NULL,
            ADD COLUMN IF NOT EXISTS investigation_topic text,
            ADD COLUMN IF NOT EXISTS message_count       integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS is_archived         boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS is_deleted          boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS archived_at         timestamptz,
            ADD COLUMN IF NOT EXISTS created_at          timestamptz DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at          timestamptz DEFAULT now();
    END IF;

    -- A default that differs from row to row would rewrite the whole table when the column is added.
    -- Rows that are there get theirs in 0001_thread_uuid.sql.
    IF pg_temp.lacks_default('chat_threads', 'thread_uuid') THEN
        ALTER TABLE chat_threads ALTER COLUMN thread_uuid SET DEFAULT gen_random_uuid();
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
