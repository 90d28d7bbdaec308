-- Monthly usage of features, as the deployed system has it.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS feature_usage (
    id serial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('feature_usage') THEN
        ALTER TABLE feature_usage
            ADD COLUMN IF NOT EXISTS user_id      integer,
            ADD COLUMN IF NOT EXISTS feature      varchar(50) NOT NULL,
            ADD COLUMN IF NOT EXISTS usage_count  integer DEFAULT 1,
            ADD COLUMN IF NOT EXISTS period_start date NOT NULL,
            ADD COLUMN IF NOT EXISTS period_end   date NOT NULL,
            ADD COLUMN IF NOT EXISTS created_at   timestamp DEFAULT now();
    END IF;
END
$$;
