-- Plans, as the deployed system has them.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

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
