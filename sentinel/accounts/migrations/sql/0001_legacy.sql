-- Plans, users and their monthly chat usage: the schema of the deployed system as it stands.
--
-- Runs on an empty database (makes everything), on a complete one (changes nothing) and on a
-- partial one (adds what is missing). Follows legacy_check.sql, in the same transaction.

-- ---------------------------------------------------------------------------------- expected --

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('plans', 'name',                    'text',                        'key',      NULL),
    ('plans', 'price_cents',             'integer',                     'required', NULL),
    ('plans', 'chat_messages_per_month', 'integer',                     'required', NULL),
    ('plans', 'created_at',              'timestamp without time zone', NULL,       NULL),

    ('users', 'id',                          'integer',                     'key',      NULL),
    ('users', 'email',                       'text',                        'required', NULL),
    ('users', 'password_hash',               'text',                        'required', NULL),
    ('users', 'plan',                        'text',                        NULL,       NULL),
    ('users', 'name',                        'text',                        NULL,       NULL),
    ('users', 'employer',                    'text',                        NULL,       NULL),
    ('users', 'email_verified',              'boolean',                     NULL,       NULL),
    ('users', 'is_active',                   'boolean',                     NULL,       NULL),
    ('users', 'preferred_region',            'text',                        NULL,       NULL),
    ('users', 'preferred_threat_type',       'text',                        NULL,       NULL),
    ('users', 'home_location',               'text',                        NULL,       NULL),
    ('users', 'extra_details',               'jsonb',                       NULL,       NULL),
    ('users', 'created_at',                  'timestamp without time zone', NULL,       NULL),
    ('users', 'updated_at',                  'timestamp without time zone', NULL,       NULL),
    ('users', 'lifetime_chat_messages',      'integer',                     NULL,       NULL),
    ('users', 'lifetime_travel_assessments', 'integer',                     NULL,       NULL),
    ('users', 'lifetime_map_views',          'integer',                     NULL,       NULL),
    ('users', 'trial_started_at',            'timestamp without time zone', NULL,       NULL),
    ('users', 'trial_ends_at',               'timestamp without time zone', NULL,       NULL),
    ('users', 'is_trial',                    'boolean',                     NULL,       NULL),
    ('users', 'stripe_customer_id',          'character varying(255)',      NULL,       NULL),
    ('users', 'stripe_subscription_id',      'character varying(255)',      NULL,       NULL),
    ('users', 'is_admin',                    'boolean',                     NULL,       NULL),

    ('user_usage', 'user_id',             'integer',                     'key', 'users'),
    ('user_usage', 'chat_messages_used',  'integer',                     NULL,  NULL),
    ('user_usage', 'chat_messages_limit', 'integer',                     NULL,  NULL),
    ('user_usage', 'last_reset',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'created_at',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'updated_at',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'email',               'text',                        NULL,  NULL),
    ('user_usage', 'pdf_exports_used',    'integer',                     NULL,  NULL);

SELECT pg_temp.refuse_contradictions();

-- ------------------------------------------------------------------------------------- plans --

CREATE TABLE IF NOT EXISTS plans (
    name text PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('plans') THEN
        ALTER TABLE plans
            ADD COLUMN IF NOT EXISTS price_cents             integer NOT NULL,
            ADD COLUMN IF NOT EXISTS chat_messages_per_month integer NOT NULL,
            ADD COLUMN IF NOT EXISTS created_at              timestamp DEFAULT now();
    END IF;
END
$$;

-- users.plan refers to these and is 'FREE' by default, so they must be there before any user.
-- Rows that exist keep their prices.
INSERT INTO plans (name, price_cents, chat_messages_per_month) VALUES
    ('FREE',           0,    3),
    ('PRO',         7900,  500),
    ('BUSINESS',   14900, 1000),
    ('ENTERPRISE', 29900, 2500)
ON CONFLICT DO NOTHING;

-- ------------------------------------------------------------------------------------- users --

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

    IF NOT pg_temp.is_unique('users', 'email') THEN
        ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);
    END IF;

    IF NOT pg_temp.has_constraint('users', 'plan', 'f') THEN
        ALTER TABLE users ADD CONSTRAINT users_plan_fkey FOREIGN KEY (plan) REFERENCES plans;
    END IF;

    IF to_regclass('idx_users_email') IS NULL THEN
        CREATE INDEX idx_users_email ON users (email);
    END IF;

    IF to_regclass('idx_users_plan') IS NULL THEN
        CREATE INDEX idx_users_plan ON users (plan);
    END IF;

    IF to_regclass('idx_users_is_admin') IS NULL THEN
        CREATE INDEX idx_users_is_admin ON users (is_admin);
    END IF;
END
$$;

-- -------------------------------------------------------------------------------- user_usage --

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

    IF NOT pg_temp.has_constraint('user_usage', 'user_id', 'f') THEN
        ALTER TABLE user_usage ADD CONSTRAINT user_usage_user_id_fkey
            FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
    END IF;

    IF NOT pg_temp.is_unique('user_usage', 'email') THEN
        ALTER TABLE user_usage ADD CONSTRAINT user_usage_email_key UNIQUE (email);
    END IF;

    IF to_regclass('idx_user_usage_email') IS NULL THEN
        CREATE INDEX idx_user_usage_email ON user_usage (email);
    END IF;
END
$$;

-- ---------------------------------------------------------------------------------- triggers --

-- Both tables keep updated_at by themselves. A function or trigger that exists stays as it is.
DO $$
BEGIN
    IF NOT pg_temp.has_trigger('users', 'update_users_updated_at')
       OR NOT pg_temp.has_trigger('user_usage', 'update_user_usage_updated_at')
    THEN
        IF to_regprocedure('update_updated_at_column()') IS NULL THEN
            CREATE FUNCTION update_updated_at_column() RETURNS trigger
            LANGUAGE plpgsql AS $function$
            BEGIN
                NEW.updated_at := now();
                RETURN NEW;
            END
            $function$;
        END IF;
    END IF;

    IF NOT pg_temp.has_trigger('users', 'update_users_updated_at') THEN
        CREATE TRIGGER update_users_updated_at
            BEFORE UPDATE ON users
            FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
    END IF;

    IF NOT pg_temp.has_trigger('user_usage', 'update_user_usage_updated_at') THEN
        CREATE TRIGGER update_user_usage_updated_at
            BEFORE UPDATE ON user_usage
            FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
    END IF;
END
$$;
