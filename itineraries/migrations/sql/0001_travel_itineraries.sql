-- Travel itineraries, as the deployed system has them.
-- Follows legacy_check.sql and 0001_expected.sql, in the same transaction.

CREATE TABLE IF NOT EXISTS travel_itineraries (
    id bigserial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('travel_itineraries') THEN
        ALTER TABLE travel_itineraries
            ADD COLUMN IF NOT EXISTS user_id            integer NOT NULL,
            ADD COLUMN IF NOT EXISTS itinerary_uuid     uuid,  -- its default: see below
            ADD COLUMN IF NOT EXISTS title              varchar(255),
            ADD COLUMN IF NOT EXISTS description        text,
            ADD COLUMN IF NOT EXISTS data               jsonb NOT NULL,
            ADD COLUMN IF NOT EXISTS created_at         timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN IF NOT EXISTS updated_at         timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN IF NOT EXISTS is_deleted         boolean NOT NULL DEFAULT false,
            ADD COLUMN IF NOT EXISTS deleted_at         timestamptz,
            ADD COLUMN IF NOT EXISTS version            integer NOT NULL DEFAULT 1,
            ADD COLUMN IF NOT EXISTS last_alert_sent_at timestamptz,
            ADD COLUMN IF NOT EXISTS alerts_sent_count  integer DEFAULT 0;
    END IF;

    -- A default that differs from row to row would rewrite the whole table when the column is added.
    -- Rows that are there get theirs in 0001_itinerary_uuid.sql.
    IF pg_temp.lacks_default('travel_itineraries', 'itinerary_uuid') THEN
        ALTER TABLE travel_itineraries ALTER COLUMN itinerary_uuid SET DEFAULT gen_random_uuid();
    END IF;

    IF to_regclass('active_itineraries') IS NULL THEN
        -- Columns by name: what a later migration adds to the table is none of this view's.
        CREATE VIEW active_itineraries AS
            SELECT i.id, i.user_id, i.itinerary_uuid, i.title, i.description, i.data,
                   i.created_at, i.updated_at, i.is_deleted, i.deleted_at, i.version,
                   i.last_alert_sent_at, i.alerts_sent_count,
                   u.email AS user_email
              FROM travel_itineraries AS i
              JOIN users AS u ON u.id = i.user_id
             WHERE i.is_deleted = false;
    END IF;
END
$$;

-- A function or trigger that exists stays as it is.
DO $$
BEGIN
    IF NOT pg_temp.has_trigger('travel_itineraries', 'trigger_itinerary_updated_at') THEN
        IF to_regprocedure('update_itinerary_updated_at()') IS NULL THEN
            CREATE FUNCTION update_itinerary_updated_at() RETURNS trigger
            LANGUAGE plpgsql AS $function$
            BEGIN
                NEW.updated_at := now();
                RETURN NEW;
            END
            $function$;
        END IF;

        CREATE TRIGGER trigger_itinerary_updated_at
            BEFORE UPDATE ON travel_itineraries
            FOR EACH ROW EXECUTE FUNCTION update_itinerary_updated_at();
    END IF;
END
$$;
