-- Travel itineraries: the schema of the deployed system as it stands.
--
-- Runs on an empty database (makes everything), on a complete one (changes nothing) and on a
-- partial one (adds what is missing). Follows legacy_check.sql, in the same transaction.

-- ---------------------------------------------------------------------------------- expected --

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('travel_itineraries', 'id',                 'bigint',                   'key',      NULL),
    ('travel_itineraries', 'user_id',            'integer',                  'required', 'users'),
    ('travel_itineraries', 'itinerary_uuid',     'uuid',                     NULL,       NULL),
    ('travel_itineraries', 'title',              'character varying(255)',   NULL,       NULL),
    ('travel_itineraries', 'description',        'text',                     NULL,       NULL),
    ('travel_itineraries', 'data',               'jsonb',                    'required', NULL),
    ('travel_itineraries', 'created_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'updated_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'is_deleted',         'boolean',                  NULL,       NULL),
    ('travel_itineraries', 'deleted_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'version',            'integer',                  NULL,       NULL),
    ('travel_itineraries', 'last_alert_sent_at', 'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'alerts_sent_count',  'integer',                  NULL,       NULL);

SELECT pg_temp.refuse_contradictions();

-- ------------------------------------------------------------------------ travel_itineraries --

CREATE TABLE IF NOT EXISTS travel_itineraries (
    id bigserial PRIMARY KEY
);

DO $$
BEGIN
    IF pg_temp.lacks_columns('travel_itineraries') THEN
        ALTER TABLE travel_itineraries
            ADD COLUMN IF NOT EXISTS user_id            integer NOT NULL,
            ADD COLUMN IF NOT EXISTS itinerary_uuid     uuid NOT NULL DEFAULT gen_random_uuid(),
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

    IF NOT pg_temp.has_constraint('travel_itineraries', 'user_id', 'f') THEN
        ALTER TABLE travel_itineraries ADD CONSTRAINT fk_user
            FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
    END IF;

    IF NOT pg_temp.is_unique('travel_itineraries', 'itinerary_uuid') THEN
        ALTER TABLE travel_itineraries
            ADD CONSTRAINT travel_itineraries_itinerary_uuid_key UNIQUE (itinerary_uuid);
    END IF;

    IF to_regclass('idx_itineraries_user_created') IS NULL THEN
        CREATE INDEX idx_itineraries_user_created
            ON travel_itineraries (user_id, created_at DESC) WHERE is_deleted = false;
    END IF;

    IF to_regclass('idx_itineraries_uuid') IS NULL THEN
        CREATE INDEX idx_itineraries_uuid
            ON travel_itineraries (itinerary_uuid) WHERE is_deleted = false;
    END IF;

    IF to_regclass('idx_itineraries_user_active') IS NULL THEN
        CREATE INDEX idx_itineraries_user_active
            ON travel_itineraries (user_id) WHERE is_deleted = false;
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

-- ----------------------------------------------------------------------------------- trigger --

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
