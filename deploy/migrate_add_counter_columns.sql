-- Counts the messages of each thread and the destinations of each itinerary.
--
-- Made by `make deploy-sql` from the migrations: change those, and make it again.
--
-- For psql, by \i or -f, as the role that owns the tables, and not within a transaction (psql -1).
-- It stops at the first error. Every step can be done again: after an error, a kill or a lost
-- connection run the whole file once more.
--
-- It may be run while others write. What locks a table is one transaction, and waits for half a
-- second at most, so that nobody queues behind it for longer; then it is tried again, 90 times in
-- some two minutes: who holds a lock for longer is no writer, but a report or somebody who forgot to
-- commit. Half a second is less than deadlock_timeout, so in a deadlock with a live writer it is this
-- file that gives up. Nothing here outlasts a transaction but what it makes.

\set ON_ERROR_STOP on
\set AUTOCOMMIT on
\set SHOW_CONTEXT never


-- what is there -------------------------------------------------------------------------------------
\echo 'what is there'

DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
-- What the first migration of every app runs before its own scripts, each of which is a transaction
-- of its own.
--
-- 0001_expected.sql of the app says what it expects. pg_temp.refuse_contradictions() then either
-- finds nothing or raises one error that names everything; `manage.py migrate` asks it about all apps
-- together, before anything is changed. The other functions answer whether a thing is missing, so
-- that a script touches only what is: even an ALTER TABLE ... IF NOT EXISTS that changes nothing takes
-- its lock first. On a complete database no lock is taken that anybody waits for.
--
-- All of it is temporary: the tables go at the end of the transaction, the functions with the
-- session.

-- Where something is missing and a table is busy, give up and leave everything as it was, instead
-- of letting every reader and writer queue behind us. Half a second is less than deadlock_timeout,
-- so in a deadlock with a live writer it is the migration that loses. `manage.py migrate` tries again.
SET LOCAL lock_timeout = '500ms';

-- squawk-ignore ban-drop-table
DROP TABLE IF EXISTS pg_temp.expected_columns, pg_temp.expected_constraints;

CREATE TEMPORARY TABLE expected_columns (
    table_name  text NOT NULL,
    column_name text NOT NULL,
    type        text NOT NULL,  -- as format_type() writes it
    rule        text,           -- 'key':      the primary key
                                -- 'required': NOT NULL without a default, so that it cannot be
                                --             added to a table that has rows
                                -- 'later':    made by a later migration; nothing is missing here
    parent      text,           -- a foreign key to this table, ON DELETE CASCADE
    PRIMARY KEY (table_name, column_name)
) ON COMMIT DROP;

-- Constraints that are added where they are missing, if the rows allow it.
CREATE TEMPORARY TABLE expected_constraints (
    table_name text   NOT NULL,
    kind       text   NOT NULL,  -- 'unique', 'foreign key' or 'check'
    columns    text[] NOT NULL,
    parent     text,             -- of a foreign key: the table; its primary key is meant
    condition  text,             -- of a check; of a foreign key: rows that it holds for anyway
    PRIMARY KEY (table_name, kind, columns)
) ON COMMIT DROP;


-- Does the table lack any of the columns that are expected of it?
CREATE OR REPLACE FUNCTION pg_temp.lacks_columns(of_table text) RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_temp.expected_columns AS expected
         WHERE expected.table_name = of_table
           AND expected.rule IS DISTINCT FROM 'later'
           AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = to_regclass(quote_ident(of_table))
                  AND a.attname = expected.column_name
                  AND NOT a.attisdropped
           )
    )
$function$;


-- Has the column no default in the database?
CREATE OR REPLACE FUNCTION pg_temp.lacks_default(of_table text, of_column text) RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = to_regclass(quote_ident(of_table))
           AND a.attname = of_column
           AND NOT a.atthasdef
           AND a.attidentity = ''
           AND NOT a.attisdropped
    )
$function$;


-- Are these the names of these columns, in whatever order?
CREATE OR REPLACE FUNCTION pg_temp.are_columns(of_table oid, numbers int2[], named text[])
RETURNS boolean
LANGUAGE sql AS $function$
    SELECT (SELECT array_agg(a.attname::text ORDER BY a.attname)
              FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = of_table AND a.attnum = ANY (numbers))
           = (SELECT array_agg(name ORDER BY name) FROM unnest(named) AS name)
$function$;


-- Is there such a constraint on exactly these columns? A unique index that covers every row is as
-- good as a unique constraint.
CREATE OR REPLACE FUNCTION pg_temp.has_constraint(on_table text, kind text, on_columns text[])
RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_constraint AS c
         WHERE c.conrelid = to_regclass(quote_ident(on_table))
           AND c.contype = CASE kind WHEN 'foreign key' THEN 'f' WHEN 'check' THEN 'c' ELSE 'u' END
           AND pg_temp.are_columns(c.conrelid, c.conkey, on_columns)
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
         WHERE kind = 'unique'
           AND i.indrelid = to_regclass(quote_ident(on_table))
           AND i.indisunique
           AND i.indisvalid
           AND i.indpred IS NULL
           AND i.indexprs IS NULL
           AND pg_temp.are_columns(i.indrelid, i.indkey::int2[], on_columns)
    )
$function$;


-- Is there a trigger of this name on the table?
CREATE OR REPLACE FUNCTION pg_temp.has_trigger(on_table text, named text) RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass(quote_ident(on_table)) AND tgname = named
    )
$function$;


-- Raise one error that names whatever cannot be completed into the expected schema.
CREATE OR REPLACE FUNCTION pg_temp.refuse_contradictions() RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    contradictions text[];
    missing        record;
    has_rows       boolean;
    wrong          bigint;
BEGIN
    WITH
    relation AS (
        SELECT DISTINCT e.table_name, c.oid, c.relkind IN ('r', 'p') AS is_table
          FROM pg_temp.expected_columns AS e
          JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(quote_ident(e.table_name))
    ),
    present AS (
        SELECT e.*, r.oid, a.attnum, format_type(a.atttypid, a.atttypmod) AS found_type
          FROM pg_temp.expected_columns AS e
          JOIN relation AS r ON r.table_name = e.table_name AND r.is_table
          LEFT JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = r.oid AND a.attname = e.column_name AND NOT a.attisdropped
    ),
    contradiction (line) AS (
        SELECT format('%s: found something that is no table, expected a table', table_name)
          FROM relation
         WHERE NOT is_table
        UNION ALL
        SELECT format('%s.%s: found %s, expected %s', table_name, column_name, found_type, type)
          FROM present
         WHERE found_type <> type
        UNION ALL
        SELECT format(
                   '%s.%s: found %s, expected PRIMARY KEY (%s)',
                   p.table_name, p.column_name,
                   COALESCE(pg_get_constraintdef(c.oid), 'no primary key'), p.column_name
               )
          FROM present AS p
          LEFT JOIN pg_catalog.pg_constraint AS c ON c.conrelid = p.oid AND c.contype = 'p'
         WHERE p.rule = 'key'
           AND c.conkey IS DISTINCT FROM ARRAY[p.attnum]
        UNION ALL
        SELECT format('%s.%s: found no default, expected one from a sequence', table_name,
                      column_name)
          FROM present
         WHERE rule = 'key' AND parent IS NULL AND type IN ('integer', 'bigint')
           AND attnum IS NOT NULL
           AND pg_temp.lacks_default(table_name, column_name)
        UNION ALL
        -- A child must find its parent when it is counted, and go when its parent goes.
        SELECT format(
                   '%s.%s: found %s, expected REFERENCES %s ON DELETE CASCADE, not deferrable',
                   p.table_name, p.column_name, pg_get_constraintdef(c.oid), p.parent
               )
          FROM present AS p
          JOIN pg_catalog.pg_constraint AS c
            ON c.conrelid = p.oid AND c.contype = 'f' AND c.conkey = ARRAY[p.attnum]
         WHERE p.parent IS NOT NULL
           AND (
               c.confrelid IS DISTINCT FROM to_regclass(quote_ident(p.parent))::oid
               OR c.confdeltype <> 'c'
               OR c.condeferrable
           )
    )
    SELECT array_agg(line ORDER BY line) INTO contradictions FROM contradiction;

    FOR missing IN
        SELECT e.table_name, e.column_name, e.type
          FROM pg_temp.expected_columns AS e
          JOIN pg_catalog.pg_class AS c
            ON c.oid = to_regclass(quote_ident(e.table_name)) AND c.relkind IN ('r', 'p')
         WHERE e.rule = 'required'
           AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = e.column_name AND NOT a.attisdropped
           )
         ORDER BY e.table_name, e.column_name
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', missing.table_name) INTO has_rows;
        IF has_rows THEN
            contradictions := contradictions || format(
                '%s.%s: found no such column in a table that has rows, expected %s NOT NULL, '
                'which has no default to give them',
                missing.table_name, missing.column_name, missing.type
            );
        END IF;
    END LOOP;

    FOR missing IN
        SELECT e.*, array_to_string(e.columns, ', ') AS among,
               (SELECT a.attname
                  FROM pg_catalog.pg_constraint AS p
                  JOIN pg_catalog.pg_attribute AS a
                    ON a.attrelid = p.conrelid AND p.conkey = ARRAY[a.attnum]
                 WHERE p.conrelid = to_regclass(quote_ident(e.parent)) AND p.contype = 'p'
               ) AS parent_key
          FROM pg_temp.expected_constraints AS e
          JOIN pg_catalog.pg_class AS c
            ON c.oid = to_regclass(quote_ident(e.table_name)) AND c.relkind IN ('r', 'p')
         WHERE NOT pg_temp.has_constraint(e.table_name, e.kind, e.columns)
           AND (SELECT count(*) FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attname = ANY (e.columns) AND NOT a.attisdropped)
               = cardinality(e.columns)
         ORDER BY e.table_name, e.kind, e.columns
    LOOP
        IF missing.kind = 'unique' THEN
            EXECUTE format(
                'SELECT count(*) FROM (SELECT FROM %I WHERE (%s) IS NOT NULL '
                'GROUP BY %2$s HAVING count(*) > 1) AS twice',
                missing.table_name, missing.among
            ) INTO wrong;
            contradictions := contradictions || CASE WHEN wrong > 0 THEN format(
                '%s (%s): found no unique constraint and %s values that are there twice, '
                'expected UNIQUE', missing.table_name, missing.among, wrong
            ) END;
        ELSIF missing.kind = 'check' THEN
            EXECUTE format('SELECT count(*) FROM %I WHERE NOT (%s)', missing.table_name,
                           missing.condition) INTO wrong;
            contradictions := contradictions || CASE WHEN wrong > 0 THEN format(
                '%s (%s): found %s rows that differ, expected CHECK (%s)', missing.table_name,
                missing.among, wrong, missing.condition
            ) END;
        ELSE
            EXECUTE format(
                'SELECT count(*) FROM %I AS child WHERE child.%I IS NOT NULL AND NOT (%s) AND %s',
                missing.table_name, missing.columns[1], coalesce(missing.condition, 'false'),
                CASE WHEN missing.parent_key IS NULL THEN 'true' ELSE format(
                    'NOT EXISTS (SELECT FROM %I AS parent WHERE parent.%I = child.%I)',
                    missing.parent, missing.parent_key, missing.columns[1]) END
            ) INTO wrong;
            contradictions := contradictions || CASE WHEN wrong > 0 THEN format(
                '%s (%s): found no foreign key and %s rows without their row of %s, '
                'expected REFERENCES %4$s', missing.table_name, missing.among, wrong,
                missing.parent
            ) END;
        END IF;
    END LOOP;
    contradictions := nullif(array_remove(contradictions, NULL), '{}');

    IF contradictions IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'this database contradicts the schema that Sentinel takes over; '
                      'nothing was changed',
            DETAIL = array_to_string(contradictions, E'\n'),
            HINT = 'Change these by hand, or point DATABASE_URL at the right database; '
                   'then run migrate again.';
    END IF;
END
$function$;

-- What the tables plans, users and user_usage are expected to be. See legacy_check.sql.

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
    ('user_usage', 'pdf_exports_used',    'integer',                     NULL,  NULL),

    -- Made by later migrations; some databases have them already.
    ('users', 'last_login',   'timestamp with time zone', 'later', NULL),
    ('users', 'is_superuser', 'boolean',                  'later', NULL),
    ('users', 'is_staff',     'boolean',                  'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('users',      'unique',      '{email}',   NULL,    NULL),
    -- The four plans are added where they are missing.
    ('users',      'foreign key', '{plan}',    'plans', $$plan IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')$$),
    ('user_usage', 'foreign key', '{user_id}', 'users', NULL),
    ('user_usage', 'unique',      '{email}',   NULL,    NULL);

-- What the tables chat_threads and chat_messages are expected to be. See legacy_check.sql.

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
    ('chat_messages', 'created_at', 'timestamp with time zone', NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('chat_threads', 'thread_messages_count', 'integer', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('chat_threads',  'foreign key', '{user_id}',     'users',        NULL),
    ('chat_threads',  'unique',      '{thread_uuid}', NULL,           NULL),
    ('chat_messages', 'foreign key', '{thread_id}',   'chat_threads', NULL),
    ('chat_messages', 'check',       '{role}',        NULL,           $$role IN ('user', 'assistant', 'system')$$);

-- What the table travel_itineraries is expected to be. See legacy_check.sql.

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
    ('travel_itineraries', 'alerts_sent_count',  'integer',                  NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('travel_itineraries', 'destinations_count', 'integer', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('travel_itineraries', 'foreign key', '{user_id}',        'users', NULL),
    ('travel_itineraries', 'unique',      '{itinerary_uuid}', NULL,    NULL);

SELECT pg_temp.refuse_contradictions();

DO $missing$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(format('%s.%s', table_name, column_name), ', '
                      ORDER BY table_name, column_name)
      INTO missing
      FROM pg_temp.expected_columns AS expected
     WHERE rule IS DISTINCT FROM 'later'
       AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = to_regclass(quote_ident(expected.table_name))
              AND a.attname = expected.column_name
              AND NOT a.attisdropped
       );
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'this database lacks %; nothing was changed', missing
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'manage.py migrate completes a partial database, and does the rest too.';
    END IF;
END
$missing$;
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


-- itineraries.0002_destinations_count ---------------------------------------------------------------
\echo 'itineraries.0002_destinations_count'

DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
ALTER TABLE travel_itineraries
    ADD COLUMN IF NOT EXISTS destinations_count integer NOT NULL DEFAULT 0;
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


-- create trigger destinations_count_derive on model travelitinerary
DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
CREATE OR REPLACE FUNCTION zzz_destinations_count_derive_07f30() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    IF TG_OP = 'UPDATE'
        AND pg_catalog.current_setting('sentinel.derive_alone', true) = 'on' THEN
        NEW := OLD;
    END IF;
    NEW."destinations_count" := CASE WHEN pg_catalog.jsonb_typeof(NEW."data" -> 'waypoints') = 'array' THEN pg_catalog.jsonb_array_length(NEW."data" -> 'waypoints') ELSE 0 END;
    RETURN NEW;
END;
$sentinel$;
REVOKE ALL ON FUNCTION zzz_destinations_count_derive_07f30() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER zzz_destinations_count_derive_07f30
    BEFORE INSERT OR UPDATE ON "travel_itineraries"
     
    FOR EACH ROW 
    EXECUTE FUNCTION zzz_destinations_count_derive_07f30();
COMMENT ON TRIGGER zzz_destinations_count_derive_07f30 ON "travel_itineraries" IS 'c6613f4ef65e027eba3d2686ab82f7cec2857ab3';
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


-- build index idx_travel_itineraries_destinations_count
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_travel_itineraries_destinations_count') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_travel_itineraries_destinations_count
    ON travel_itineraries (user_id, destinations_count) WHERE is_deleted = false;


-- Backfill of travel_itineraries.destinations_count.
--
-- A thousand itineraries at a time, in the order of their keys, each batch a transaction of its own:
-- lock those that differ and that nobody holds, then have the trigger derive the
-- value again. NULL is what the trigger replaces; without it the column's NOT NULL refuses the
-- statement. `derive_alone` keeps what other triggers make of an update, a new updated_at, out of
-- the row.
-- Those that somebody holds come last, one by one, so that nobody waits for a batch that itself
-- waits for somebody. 
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   bigint := -9223372036854775808;
    next_key   bigint;
    wanted     bigint[];
    locked     bigint[];
    held       bigint[] := '{}';
    waits      integer := 0;
BEGIN
    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.travel_itineraries
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(
                SELECT id FROM public.travel_itineraries
                 WHERE id > last_key AND id <= next_key
                   AND destinations_count IS DISTINCT FROM
                       CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
                            THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END);
            locked := ARRAY(SELECT id FROM public.travel_itineraries
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.travel_itineraries
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of travel_itineraries are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        PERFORM set_config('sentinel.derive_alone', 'on', true);
        UPDATE public.travel_itineraries SET destinations_count = NULL WHERE id = ANY (locked);
        COMMIT;
    END LOOP;
END
$$;


-- require a value in travel_itineraries.destinations_count
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = 'travel_itineraries'::regclass AND attname = 'destinations_count' AND NOT atthasdef
                  AND '0' <> 'NULL') THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE travel_itineraries ALTER COLUMN destinations_count SET DEFAULT 0;
        COMMIT;
    END IF;

    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = 'travel_itineraries'::regclass AND attname = 'destinations_count' AND NOT attnotnull) THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE travel_itineraries
            DROP CONSTRAINT IF EXISTS travel_itineraries_destinations_count_not_null,
            ADD CONSTRAINT travel_itineraries_destinations_count_not_null CHECK (destinations_count IS NOT NULL) NOT VALID;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE travel_itineraries VALIDATE CONSTRAINT travel_itineraries_destinations_count_not_null;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE travel_itineraries
            ALTER COLUMN destinations_count SET NOT NULL,
            DROP CONSTRAINT travel_itineraries_destinations_count_not_null;
        COMMIT;
    END IF;
END
$$;


-- threads.0002_thread_messages_count ----------------------------------------------------------------
\echo 'threads.0002_thread_messages_count'

DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
ALTER TABLE chat_threads
    ADD COLUMN IF NOT EXISTS thread_messages_count integer NOT NULL DEFAULT 0;
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


-- at once: create trigger thread_messages_count_guard_insert on model chatthread, create trigger
-- thread_messages_count_guard_update on model chatthread, create trigger
-- thread_messages_count_guard_key on model chatthread, create trigger
-- thread_messages_count_on_insert on model chatmessage, create trigger
-- thread_messages_count_on_update on model chatmessage, create trigger
-- thread_messages_count_on_delete on model chatmessage, create trigger
-- thread_messages_count_on_truncate on model chatmessage
DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
SET LOCAL lock_timeout = '200ms';
LOCK TABLE chat_messages, chat_threads IN SHARE ROW EXCLUSIVE MODE;
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_guard_insert_3ebbe() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    NEW."thread_messages_count" := 0;
    NEW."message_count" := 0;
    RETURN NEW;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_guard_insert_3ebbe() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_guard_insert_3ebbe
    BEFORE INSERT ON "chat_threads"
     
    FOR EACH ROW WHEN (NEW."thread_messages_count" IS DISTINCT FROM 0 OR NEW."message_count" IS DISTINCT FROM 0)
    EXECUTE FUNCTION pgtrigger_thread_messages_count_guard_insert_3ebbe();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_guard_insert_3ebbe ON "chat_threads" IS 'b27fb614acf50ca1dc409c9c0fd26ddb8164ee93';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_guard_update_9b413() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE recount text;
BEGIN
    IF NEW."thread_messages_count" IS DISTINCT FROM OLD."thread_messages_count" THEN
        SELECT pg_catalog.count(*)
          INTO NEW."thread_messages_count"
          FROM "public"."chat_messages"
         WHERE "chat_messages"."thread_id" = NEW."id";
        NEW."message_count" := NEW."thread_messages_count";
        recount := pg_catalog.set_config('sentinel.recount', 'on', true);
    ELSE
        NEW."message_count" := OLD."message_count";
    END IF;
    RETURN NEW;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_guard_update_9b413() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_guard_update_9b413
    BEFORE UPDATE OF "thread_messages_count", "message_count" ON "chat_threads"
     
    FOR EACH ROW WHEN ((current_setting('sentinel.engine', true) = CASE WHEN pg_trigger_depth() > 0 THEN pg_trigger_depth()::text WHEN has_table_privilege(OLD.tableoid, 'TRIGGER') THEN pg_current_xact_id()::text ELSE NULL END) IS NOT TRUE)
    EXECUTE FUNCTION pgtrigger_thread_messages_count_guard_update_9b413();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_guard_update_9b413 ON "chat_threads" IS 'fa67637b5f46d156218a1fe6a8b1b17a9e9111d9';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_guard_key_4f852() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',
                    'chat_threads.thread_messages_count', 'chat_threads', OLD."id", NEW."id"
        USING ERRCODE = 'restrict_violation',
              HINT = 'Insert a new row, move the children to it, and delete the old one.';
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_guard_key_4f852() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_guard_key_4f852
    BEFORE UPDATE OF "id" ON "chat_threads"
     
    FOR EACH ROW WHEN (OLD."id" IS DISTINCT FROM NEW."id")
    EXECUTE FUNCTION pgtrigger_thread_messages_count_guard_key_4f852();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_guard_key_4f852 ON "chat_threads" IS 'e176d2e9e65db147d255c82a23940038d6d4d5e1';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_on_insert_c2883() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';
BEGIN
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT "chat_messages"."thread_id" AS key, pg_catalog.count(*) AS delta
              FROM new_values AS "chat_messages"
             WHERE "chat_messages"."thread_id" IS NOT NULL
             GROUP BY "chat_messages"."thread_id") AS change;
    IF changed_keys IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF recounting THEN
        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote
        -- these rows, and the guard's count may include them already: count again.
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual, "updated_at" = pg_catalog.now()
          FROM (SELECT changed.key,
                       (SELECT pg_catalog.count(*)
                          FROM "public"."chat_messages"
                         WHERE "chat_messages"."thread_id" = changed.key) AS actual
                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted
         WHERE "chat_threads"."id" = counted.key;
    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1], "updated_at" = pg_catalog.now()
         WHERE "chat_threads"."id" = changed_keys[1];
    ELSE
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta, "updated_at" = pg_catalog.now()
          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
         WHERE "chat_threads"."id" = change.key;
    END IF;

    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < pg_catalog.cardinality(changed_keys) THEN
        -- Parents that are being deleted are gone already when a cascade reaches their children.
        -- Anything else would be a count that is silently lost.
        IF written < (SELECT pg_catalog.count(*)
                        FROM "public"."chat_threads"
                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN
            RAISE EXCEPTION 'counter %: a trigger of % kept the count from being written',
                            'chat_threads.thread_messages_count', 'chat_threads'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE UPDATE trigger returned NULL. Let it return NEW.';
        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
                       WHERE change.delta > 0
                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"
                                          WHERE "chat_threads"."id" = change.key)) THEN
            RAISE EXCEPTION 'counter %: a row of % came before its row of %',
                            'chat_threads.thread_messages_count', 'chat_messages', 'chat_threads'
                USING ERRCODE = 'foreign_key_violation',
                      HINT = 'Insert the parent first. A deferrable foreign key hides the mistake: '
                             'make it NOT DEFERRABLE.';
        END IF;
    END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_on_insert_c2883() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_on_insert_c2883
    AFTER INSERT ON "chat_messages"
     REFERENCING NEW TABLE AS new_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_thread_messages_count_on_insert_c2883();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_on_insert_c2883 ON "chat_messages" IS '132a7b536f7df085d5ae5290eb7c3c36be18075f';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_on_update_6071b() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';
BEGIN
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT moved.key, pg_catalog.sum(moved.delta) AS delta
              FROM (SELECT "chat_messages"."thread_id" AS key, 1 AS delta
                      FROM new_values AS "chat_messages"
                     WHERE "chat_messages"."thread_id" IS NOT NULL
                     UNION ALL
                    SELECT "chat_messages"."thread_id", -1
                      FROM old_values AS "chat_messages"
                     WHERE "chat_messages"."thread_id" IS NOT NULL) AS moved
             GROUP BY moved.key
            HAVING recounting OR pg_catalog.sum(moved.delta) <> 0) AS change;
    IF changed_keys IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF recounting THEN
        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote
        -- these rows, and the guard's count may include them already: count again.
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual
          FROM (SELECT changed.key,
                       (SELECT pg_catalog.count(*)
                          FROM "public"."chat_messages"
                         WHERE "chat_messages"."thread_id" = changed.key) AS actual
                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted
         WHERE "chat_threads"."id" = counted.key;
    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1]
         WHERE "chat_threads"."id" = changed_keys[1];
    ELSE
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta
          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
         WHERE "chat_threads"."id" = change.key;
    END IF;

    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < pg_catalog.cardinality(changed_keys) THEN
        -- Parents that are being deleted are gone already when a cascade reaches their children.
        -- Anything else would be a count that is silently lost.
        IF written < (SELECT pg_catalog.count(*)
                        FROM "public"."chat_threads"
                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN
            RAISE EXCEPTION 'counter %: a trigger of % kept the count from being written',
                            'chat_threads.thread_messages_count', 'chat_threads'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE UPDATE trigger returned NULL. Let it return NEW.';
        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
                       WHERE change.delta > 0
                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"
                                          WHERE "chat_threads"."id" = change.key)) THEN
            RAISE EXCEPTION 'counter %: a row of % came before its row of %',
                            'chat_threads.thread_messages_count', 'chat_messages', 'chat_threads'
                USING ERRCODE = 'foreign_key_violation',
                      HINT = 'Insert the parent first. A deferrable foreign key hides the mistake: '
                             'make it NOT DEFERRABLE.';
        END IF;
    END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_on_update_6071b() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_on_update_6071b
    AFTER UPDATE ON "chat_messages"
     REFERENCING OLD TABLE AS old_values  NEW TABLE AS new_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_thread_messages_count_on_update_6071b();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_on_update_6071b ON "chat_messages" IS '432c61d2dd3b0badcf73f71680630ace11c752a4';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_on_delete_0b656() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE changed_keys integer[]; deltas bigint[]; written bigint; engine text; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';
BEGIN
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT "chat_messages"."thread_id" AS key, -pg_catalog.count(*) AS delta
              FROM old_values AS "chat_messages"
             WHERE "chat_messages"."thread_id" IS NOT NULL
             GROUP BY "chat_messages"."thread_id") AS change;
    IF changed_keys IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF recounting THEN
        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote
        -- these rows, and the guard's count may include them already: count again.
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = counted.actual, "message_count" = counted.actual
          FROM (SELECT changed.key,
                       (SELECT pg_catalog.count(*)
                          FROM "public"."chat_messages"
                         WHERE "chat_messages"."thread_id" = changed.key) AS actual
                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted
         WHERE "chat_threads"."id" = counted.key;
    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + deltas[1], "message_count" = coalesce("chat_threads"."message_count", 0) + deltas[1]
         WHERE "chat_threads"."id" = changed_keys[1];
    ELSE
        PERFORM FROM "public"."chat_threads"
          WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])
          ORDER BY "chat_threads"."id"
            FOR NO KEY UPDATE;
        UPDATE "public"."chat_threads"
           SET "thread_messages_count" = "chat_threads"."thread_messages_count" + change.delta, "message_count" = coalesce("chat_threads"."message_count", 0) + change.delta
          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
         WHERE "chat_threads"."id" = change.key;
    END IF;

    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < pg_catalog.cardinality(changed_keys) THEN
        -- Parents that are being deleted are gone already when a cascade reaches their children.
        -- Anything else would be a count that is silently lost.
        IF written < (SELECT pg_catalog.count(*)
                        FROM "public"."chat_threads"
                       WHERE "chat_threads"."id" = ANY ((SELECT changed_keys)::integer[])) THEN
            RAISE EXCEPTION 'counter %: a trigger of % kept the count from being written',
                            'chat_threads.thread_messages_count', 'chat_threads'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE UPDATE trigger returned NULL. Let it return NEW.';
        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
                       WHERE change.delta > 0
                         AND NOT EXISTS (SELECT FROM "public"."chat_threads"
                                          WHERE "chat_threads"."id" = change.key)) THEN
            RAISE EXCEPTION 'counter %: a row of % came before its row of %',
                            'chat_threads.thread_messages_count', 'chat_messages', 'chat_threads'
                USING ERRCODE = 'foreign_key_violation',
                      HINT = 'Insert the parent first. A deferrable foreign key hides the mistake: '
                             'make it NOT DEFERRABLE.';
        END IF;
    END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_on_delete_0b656() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_on_delete_0b656
    AFTER DELETE ON "chat_messages"
     REFERENCING OLD TABLE AS old_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_thread_messages_count_on_delete_0b656();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_on_delete_0b656 ON "chat_messages" IS '580a4aaad4d8212484084a3a9baccd32e6261d4c';
CREATE OR REPLACE FUNCTION pgtrigger_thread_messages_count_on_truncate_9b97d() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE engine text;
BEGIN
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    UPDATE "public"."chat_threads" SET "thread_messages_count" = 0, "message_count" = 0 WHERE "thread_messages_count" IS DISTINCT FROM 0 OR "message_count" IS DISTINCT FROM 0;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_thread_messages_count_on_truncate_9b97d() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_thread_messages_count_on_truncate_9b97d
    AFTER TRUNCATE ON "chat_messages"
     
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_thread_messages_count_on_truncate_9b97d();
COMMENT ON TRIGGER pgtrigger_thread_messages_count_on_truncate_9b97d ON "chat_messages" IS '9c20d683d54cbe7311407a73ba3f1ae62bfbf4cb';
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


-- build index idx_chat_threads_messages_count
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_chat_threads_messages_count') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_chat_threads_messages_count
    ON chat_threads (user_id, thread_messages_count) WHERE is_deleted = false;


-- Backfill of chat_threads.thread_messages_count and of its mirror, message_count.
--
-- A thousand threads at a time, in the order of their keys, each batch a transaction of its own:
-- lock those that differ and that nobody holds, then write NULL into the counter. The
-- guard never lets a NULL through: it counts the messages, under the lock and in a fresh snapshot,
-- and stores the truth in counter and mirror. Without the guard the column's NOT NULL refuses the
-- statement, so that nothing wrong can be written.
-- Those that somebody holds come last, one by one, so that nobody waits for a batch that itself
-- waits for somebody. Threads that are right already are not touched.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   integer := -2147483648;
    next_key   integer;
    wanted     integer[];
    locked     integer[];
    held       integer[] := '{}';
    waits      integer := 0;
BEGIN
    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.chat_threads
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(
                SELECT thread.id
                  FROM public.chat_threads AS thread
                  CROSS JOIN LATERAL (SELECT count(*) AS actual FROM public.chat_messages AS message
                                       WHERE message.thread_id = thread.id) AS counted
                 WHERE thread.id > last_key AND thread.id <= next_key
                   AND (thread.thread_messages_count IS DISTINCT FROM counted.actual
                        OR thread.message_count IS DISTINCT FROM counted.actual));
            locked := ARRAY(SELECT id FROM public.chat_threads
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.chat_threads
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of chat_threads are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        -- The guard acts on a change; a column that somebody else made may hold a NULL already.
        UPDATE public.chat_threads
           SET thread_messages_count = CASE WHEN thread_messages_count IS NULL THEN 0 END
         WHERE id = ANY (locked);
        COMMIT;
    END LOOP;
END
$$;


-- require a value in chat_threads.thread_messages_count
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = 'chat_threads'::regclass AND attname = 'thread_messages_count' AND NOT atthasdef
                  AND '0' <> 'NULL') THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE chat_threads ALTER COLUMN thread_messages_count SET DEFAULT 0;
        COMMIT;
    END IF;

    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = 'chat_threads'::regclass AND attname = 'thread_messages_count' AND NOT attnotnull) THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE chat_threads
            DROP CONSTRAINT IF EXISTS chat_threads_thread_messages_count_not_null,
            ADD CONSTRAINT chat_threads_thread_messages_count_not_null CHECK (thread_messages_count IS NOT NULL) NOT VALID;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE chat_threads VALIDATE CONSTRAINT chat_threads_thread_messages_count_not_null;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE chat_threads
            ALTER COLUMN thread_messages_count SET NOT NULL,
            DROP CONSTRAINT chat_threads_thread_messages_count_not_null;
        COMMIT;
    END IF;
END
$$;


-- threads.0003_replace_legacy_trigger ---------------------------------------------------------------
\echo 'threads.0003_replace_legacy_trigger'

-- at once: create trigger user_usage_on_insert on model chatmessage
DO $step$
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE $body$
DROP TRIGGER IF EXISTS thread_message_added ON chat_messages;
CREATE OR REPLACE FUNCTION pgtrigger_user_usage_on_insert_05464() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE this_month CONSTANT timestamp := pg_catalog.date_trunc('month', localtimestamp); first_thread integer; last_thread integer; messages bigint;
BEGIN
    SELECT pg_catalog.min(message.thread_id), pg_catalog.max(message.thread_id), pg_catalog.count(*)
      INTO first_thread, last_thread, messages
      FROM new_values AS message;
    IF first_thread = last_thread THEN
        UPDATE public.user_usage AS usage
           SET chat_messages_used = CASE
                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
                   THEN usage.chat_messages_used + messages
                   ELSE messages
               END,
               last_reset = CASE
                   WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
                   THEN usage.last_reset
                   ELSE this_month
               END
         WHERE usage.user_id = (SELECT thread.user_id
                                  FROM public.chat_threads AS thread
                                 WHERE thread.id = first_thread)
           AND usage.last_reset IS NOT NULL;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    INSERT INTO public.user_usage AS usage (user_id, chat_messages_used)
    SELECT owned.user_id, pg_catalog.sum(owned.messages)
      FROM (SELECT (SELECT thread.user_id
                      FROM public.chat_threads AS thread
                     WHERE thread.id = added.thread_id) AS user_id,
                   added.messages
              FROM (SELECT message.thread_id, pg_catalog.count(*) AS messages
                      FROM new_values AS message
                     GROUP BY message.thread_id) AS added) AS owned
     WHERE owned.user_id IS NOT NULL
     GROUP BY owned.user_id
     ORDER BY owned.user_id
    ON CONFLICT (user_id) DO UPDATE
       SET chat_messages_used = CASE
               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
               THEN usage.chat_messages_used + excluded.chat_messages_used
               ELSE excluded.chat_messages_used
           END,
           last_reset = CASE
               WHEN pg_catalog.date_trunc('month', usage.last_reset) = this_month
               THEN usage.last_reset
               ELSE this_month
           END
     WHERE usage.last_reset IS NOT NULL;
    RETURN NULL;

END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_user_usage_on_insert_05464() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_user_usage_on_insert_05464
    AFTER INSERT ON "chat_messages"
     REFERENCING NEW TABLE AS new_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_user_usage_on_insert_05464();
COMMENT ON TRIGGER pgtrigger_user_usage_on_insert_05464 ON "chat_messages" IS '296e2f69d3b54caa33670497f02a8ab44425c8fd';
$body$;
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
$step$;


DO $audit$
DECLARE
    checked bigint;
    drifted bigint;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE stored IS DISTINCT FROM array_fill(actual, ARRAY[cardinality(stored)]))
      INTO checked, drifted
      FROM (
SELECT "chat_threads"."id" AS key,
       ARRAY["chat_threads"."thread_messages_count", "chat_threads"."message_count"]::bigint[] AS stored,
       coalesce(counted.actual, 0) AS actual
  FROM "public"."chat_threads"
  LEFT JOIN (SELECT "chat_messages"."thread_id" AS key, count(*) AS actual
               FROM "public"."chat_messages"
              WHERE "chat_messages"."thread_id" IS NOT NULL
              GROUP BY "chat_messages"."thread_id") AS counted
    ON counted.key = "chat_threads"."id"
           ) AS compared;
    RAISE NOTICE 'audit of chat_threads.thread_messages_count: % rows, % mismatches', checked, drifted;
    IF drifted > 0 THEN
        RAISE EXCEPTION 'chat_threads.thread_messages_count: % of % rows are not what they should be', drifted, checked
            USING ERRCODE = 'data_exception',
                  HINT = 'Somebody writes with the triggers switched off. Run the file again, '
                         'or manage.py repair_counters.';
    END IF;
END
$audit$;


DO $audit$
DECLARE
    checked bigint;
    drifted bigint;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE stored IS DISTINCT FROM array_fill(actual, ARRAY[cardinality(stored)]))
      INTO checked, drifted
      FROM (
SELECT "travel_itineraries"."id" AS key,
       ARRAY["travel_itineraries"."destinations_count"]::bigint[] AS stored,
       (CASE WHEN pg_catalog.jsonb_typeof("travel_itineraries"."data" -> 'waypoints') = 'array' THEN pg_catalog.jsonb_array_length("travel_itineraries"."data" -> 'waypoints') ELSE 0 END)::bigint AS actual
  FROM "public"."travel_itineraries"
           ) AS compared;
    RAISE NOTICE 'audit of travel_itineraries.destinations_count: % rows, % mismatches', checked, drifted;
    IF drifted > 0 THEN
        RAISE EXCEPTION 'travel_itineraries.destinations_count: % of % rows are not what they should be', drifted, checked
            USING ERRCODE = 'data_exception',
                  HINT = 'Somebody writes with the triggers switched off. Run the file again, '
                         'or manage.py repair_counters.';
    END IF;
END
$audit$;
