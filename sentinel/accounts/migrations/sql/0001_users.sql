-- Users, as the deployed system has them.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS users (
    id serial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('users') THEN
        ALTER TABLE users
            ADD COLUMN IF NOT EXISTS email                       text NOT NULL,
            ADD COLUMN IF NOT EXISTS password_hash               text NOT NULL,
            ADD COLUMN IF NOT EXISTS plan                        text DEFAULT 'FREE',
            ADD COLUMN IF NOT EXISTS name                        text,
            ADD COLUMN IF NOT EXISTS employer                    text,
            ADD COLUMN IF NOT EXISTS email_verified              boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS is_active                   boolean DEFAULT true,
            ADD COLUMN IF NOT EXISTS preferred_region            text,
            ADD COLUMN IF NOT EXISTS preferred_threat_type       text,
            ADD COLUMN IF NOT EXISTS home_location               text,
            ADD COLUMN IF NOT EXISTS extra_details               jsonb DEFAULT '{}',
            ADD COLUMN IF NOT EXISTS created_at                  timestamp DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at                  timestamp DEFAULT now(),
            ADD COLUMN IF NOT EXISTS lifetime_chat_messages      integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS lifetime_travel_assessments integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS lifetime_map_views          integer DEFAULT 0,
            ADD COLUMN IF NOT EXISTS trial_started_at            timestamp,
            ADD COLUMN IF NOT EXISTS trial_ends_at               timestamp,
            ADD COLUMN IF NOT EXISTS is_trial                    boolean DEFAULT false,
            ADD COLUMN IF NOT EXISTS stripe_customer_id          varchar(255),
            ADD COLUMN IF NOT EXISTS stripe_subscription_id      varchar(255),
            ADD COLUMN IF NOT EXISTS is_admin                    boolean;
    END IF;

    -- The table keeps updated_at by itself. A function or trigger that exists stays as it is.
    IF NOT pg_temp.has_trigger('users', 'update_users_updated_at') THEN
        IF to_regprocedure('update_updated_at_column()') IS NULL THEN
            CREATE FUNCTION update_updated_at_column() RETURNS trigger
            LANGUAGE plpgsql AS $function$
            BEGIN
                NEW.updated_at := now();
                RETURN NEW;
            END
            $function$;
        END IF;

        CREATE TRIGGER update_users_updated_at
            BEFORE UPDATE ON users
            FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
    END IF;
END
$$;
