-- Monthly chat usage, as the deployed system has it.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS user_usage (
    user_id integer PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('user_usage') THEN
        ALTER TABLE user_usage
            ADD COLUMN IF NOT EXISTS chat_messages_used  integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS chat_messages_limit integer DEFAULT 3,
            ADD COLUMN IF NOT EXISTS last_reset          timestamp DEFAULT now(),
            ADD COLUMN IF NOT EXISTS created_at          timestamp DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at          timestamp DEFAULT now(),
            ADD COLUMN IF NOT EXISTS email               text,
            ADD COLUMN IF NOT EXISTS pdf_exports_used    integer NOT NULL DEFAULT 0;
    END IF;

    -- The table keeps updated_at by itself. A function or trigger that exists stays as it is.
    IF NOT pg_temp.has_trigger('user_usage', 'update_user_usage_updated_at') THEN
        IF to_regprocedure('update_updated_at_column()') IS NULL THEN
            CREATE FUNCTION update_updated_at_column() RETURNS trigger
            LANGUAGE plpgsql AS $function$
            BEGIN
                NEW.updated_at := now();
                RETURN NEW;
            END
            $function$;
        END IF;

        CREATE TRIGGER update_user_usage_updated_at
            BEFORE UPDATE ON user_usage
            FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
    END IF;
END
$$;
