-- Puts a ledger below feature_usage, with limits, archive and summary.
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

-- What the table feature_usage is expected to be. See legacy_check.sql.

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('feature_usage', 'id',           'integer',                     'key',      NULL),
    ('feature_usage', 'user_id',      'integer',                     NULL,       'users'),
    ('feature_usage', 'feature',      'character varying(50)',       'required', NULL),
    ('feature_usage', 'usage_count',  'integer',                     NULL,       NULL),
    ('feature_usage', 'period_start', 'date',                        'required', NULL),
    ('feature_usage', 'period_end',   'date',                        'required', NULL),
    ('feature_usage', 'created_at',   'timestamp without time zone', NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('feature_usage', 'updated_at', 'timestamp with time zone', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('feature_usage', 'foreign key', '{user_id}', 'users', NULL),
    -- One row a user, feature and month: everybody's upserts name these three columns.
    ('feature_usage', 'unique', '{user_id,feature,period_start}', NULL, NULL);

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


-- usage.0002_ledger ---------------------------------------------------------------------------------
\echo 'usage.0002_ledger'

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
-- The ledger. A row is one use, a correction, or what somebody wrote into a month by hand.
--
-- It is kept when the app is taken out again, so it may be there already.
CREATE TABLE IF NOT EXISTS feature_usage_events (
    id              bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    user_id         integer NOT NULL,
    feature         varchar(50) NOT NULL,
    quantity        integer NOT NULL DEFAULT 1,
    occurred_at     timestamptz NOT NULL DEFAULT now(),
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    idempotency_key varchar(200),
    source          varchar(50) NOT NULL DEFAULT 'direct',
    reason          text,
    adopted         boolean NOT NULL DEFAULT false,
    adopted_period  date,
    -- The month in UTC, whatever the time zone of the session.
    period_start    date NOT NULL GENERATED ALWAYS AS (
        coalesce(adopted_period, (date_trunc('month', occurred_at AT TIME ZONE 'UTC'))::date)
    ) STORED,

    -- No foreign key to users: the month's row has one, and an event lives and dies with that row.
    -- It would cost a check and a lock of the user's row for every event.
    CONSTRAINT feature_usage_events_quantity
        CHECK (quantity <> 0 AND (quantity > 0 OR reason IS NOT NULL)),
    -- Such a key says that an event was given back; one of somebody else's would keep it from being.
    CONSTRAINT feature_usage_events_refund_key
        CHECK (idempotency_key NOT LIKE 'refund:%' OR source = 'refund'),
    CONSTRAINT feature_usage_events_adopted
        CHECK (adopted OR adopted_period IS NULL)
);

CREATE INDEX IF NOT EXISTS idx_feature_usage_events_month
    ON feature_usage_events (user_id, feature, period_start);

CREATE UNIQUE INDEX IF NOT EXISTS feature_usage_events_key
    ON feature_usage_events (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
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
ALTER TABLE feature_usage
    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
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


-- create trigger usage_count_guard_row on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_guard_row_a5df9() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    IF pg_catalog.current_setting('sentinel.repair', true) = 'on' THEN
        IF NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL THEN
            SELECT coalesce(pg_catalog.sum("quantity"), 0)
              INTO NEW."usage_count"
              FROM "public"."feature_usage_events"
             WHERE "feature_usage_events"."user_id" = NEW."user_id" AND "feature_usage_events"."feature" = NEW."feature" AND "feature_usage_events"."period_start" = NEW."period_start";
        END IF;
        RETURN NEW;
    END IF;
    IF NEW."usage_count" IS NULL AND NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL THEN
        NEW."usage_count" := 0;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW."updated_at" := pg_catalog.now();
    END IF;
    RETURN NEW;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_guard_row_a5df9() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_guard_row_a5df9
    BEFORE INSERT OR UPDATE ON "feature_usage"
     
    FOR EACH ROW WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)
    EXECUTE FUNCTION pgtrigger_usage_count_guard_row_a5df9();
COMMENT ON TRIGGER pgtrigger_usage_count_guard_row_a5df9 ON "feature_usage" IS '459c493cc0de580151fb6afe5a8fa46af0bcf84b';
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


-- create trigger usage_count_guard_key on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_guard_key_afe16() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',
                    'feature_usage.usage_count', 'feature_usage',
                    pg_catalog.jsonb_build_array(OLD."user_id", OLD."feature", OLD."period_start"), pg_catalog.jsonb_build_array(NEW."user_id", NEW."feature", NEW."period_start")
        USING ERRCODE = 'restrict_violation',
              HINT = 'Insert a row with the other key, and delete this one.';
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_guard_key_afe16() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_guard_key_afe16
    BEFORE UPDATE OF "user_id", "feature", "period_start" ON "feature_usage"
     
    FOR EACH ROW WHEN (OLD."user_id" IS DISTINCT FROM NEW."user_id" OR OLD."feature" IS DISTINCT FROM NEW."feature" OR OLD."period_start" IS DISTINCT FROM NEW."period_start")
    EXECUTE FUNCTION pgtrigger_usage_count_guard_key_afe16();
COMMENT ON TRIGGER pgtrigger_usage_count_guard_key_afe16 ON "feature_usage" IS '68c9c86320e6d12640513064394b5ab849b53a1a';
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


-- create trigger usage_count_adopt_insert on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_adopt_insert_a2e96() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text;
BEGIN
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    INSERT INTO "public"."feature_usage_events" ("user_id", "feature", "adopted_period", "adopted", "source", "reason", "quantity")
    SELECT written.user_id, written.feature, written.period_start, true, 'adopted', 'written by ' || session_user, written."usage_count"
      FROM new_values AS written
     WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL AND written."usage_count" <> 0;
    IF pg_catalog.current_setting('sentinel.recount', true) = 'on' THEN
        -- Perhaps put into the place of rows that the same statement deleted: see delete_events.
        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start") INTO "changed_user_id", "changed_feature", "changed_period_start" FROM new_values AS change WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL;
        WITH updated AS (
            UPDATE "public"."feature_usage"
               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")
                                          FROM "public"."feature_usage_events"
                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")
             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
        )
        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
    END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_adopt_insert_a2e96() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_adopt_insert_a2e96
    AFTER INSERT ON "feature_usage"
     REFERENCING NEW TABLE AS new_values 
    FOR EACH STATEMENT WHEN (current_setting('sentinel.repair', true) IS DISTINCT FROM 'on' AND ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE))
    EXECUTE FUNCTION pgtrigger_usage_count_adopt_insert_a2e96();
COMMENT ON TRIGGER pgtrigger_usage_count_adopt_insert_a2e96 ON "feature_usage" IS 'f43f488617bf792284428d104321212d00ae1f18';
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


-- create trigger usage_count_adopt_update on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_adopt_update_c7bff() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE engine text;
BEGIN
    IF (OLD."user_id" IS DISTINCT FROM NEW."user_id" OR OLD."feature" IS DISTINCT FROM NEW."feature" OR OLD."period_start" IS DISTINCT FROM NEW."period_start") THEN
        RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',
                    'feature_usage.usage_count', 'feature_usage',
                    pg_catalog.jsonb_build_array(OLD."user_id", OLD."feature", OLD."period_start"), pg_catalog.jsonb_build_array(NEW."user_id", NEW."feature", NEW."period_start")
        USING ERRCODE = 'restrict_violation',
              HINT = 'Insert a row with the other key, and delete this one.';
    END IF;
    IF NEW."user_id" IS NOT NULL AND NEW."feature" IS NOT NULL AND NEW."period_start" IS NOT NULL AND coalesce(NEW."usage_count", 0) <> coalesce(OLD."usage_count", 0)
       AND pg_catalog.current_setting('sentinel.repair', true) IS DISTINCT FROM 'on' THEN
        engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text,
                                        true);
        INSERT INTO "public"."feature_usage_events" ("user_id", "feature", "adopted_period", "adopted", "source", "reason", "quantity")
        VALUES (NEW.user_id, NEW.feature, NEW.period_start, true, 'adopted', 'written by ' || session_user, coalesce(NEW."usage_count", 0) - coalesce(OLD."usage_count", 0));
    END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_adopt_update_c7bff() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_adopt_update_c7bff
    AFTER UPDATE ON "feature_usage"
     
    FOR EACH ROW WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)
    EXECUTE FUNCTION pgtrigger_usage_count_adopt_update_c7bff();
COMMENT ON TRIGGER pgtrigger_usage_count_adopt_update_c7bff ON "feature_usage" IS 'baea192705a37032712f5a30743a783b6aff05f0';
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


-- create trigger usage_count_on_row_delete on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_on_row_delete_eee4c() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text;
BEGIN
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    PERFORM pg_catalog.set_config('sentinel.recount', 'on', true);
    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start") INTO "changed_user_id", "changed_feature", "changed_period_start" FROM old_values AS change WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL;
    DELETE FROM "public"."feature_usage_events"
     USING unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")
     WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start";
        WITH updated AS (
            UPDATE "public"."feature_usage"
               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")
                                          FROM "public"."feature_usage_events"
                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")
             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
        )
        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_on_row_delete_eee4c() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_on_row_delete_eee4c
    AFTER DELETE ON "feature_usage"
     REFERENCING OLD TABLE AS old_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_usage_count_on_row_delete_eee4c();
COMMENT ON TRIGGER pgtrigger_usage_count_on_row_delete_eee4c ON "feature_usage" IS '28a29fc2aff40d69d5bad64589a4350331b0f9c4';
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


-- create trigger usage_count_on_row_truncate on model featureusage
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_on_row_truncate_fe98f() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE engine text;
BEGIN
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    DELETE FROM "public"."feature_usage_events";
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_on_row_truncate_fe98f() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_on_row_truncate_fe98f
    AFTER TRUNCATE ON "feature_usage"
     
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_usage_count_on_row_truncate_fe98f();
COMMENT ON TRIGGER pgtrigger_usage_count_on_row_truncate_fe98f ON "feature_usage" IS '00a96e4fad2347f248d3a2b4723c6e62da2da9bc';
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


-- Opening events: what the months hold already, and whatever differs when the system is taken over
-- again. By now every further write to a month is adopted by the triggers, and nothing counts the
-- ledger's events yet, so the difference between a month and its events is what is missing.
--
-- A thousand rows at a time, each batch a transaction of its own: lock the rows that nobody holds,
-- then look at the events in a second statement, whose snapshot is taken when the locks are held.
-- Rows that somebody holds come last, one by one, so that nobody waits for a batch that itself waits
-- for somebody. Rows that agree with their events are left alone, so it can be run again.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   integer := -2147483648;
    next_key   integer;
    wanted     integer[];
    locked     integer[];
    held       integer[] := '{}';
    waits      integer := 0;
BEGIN
    -- Events of a month that somebody deleted while nobody looked: they die with it.
    DELETE FROM public.feature_usage_events AS event
     WHERE NOT EXISTS (SELECT FROM public.feature_usage AS month
                        WHERE month.user_id = event.user_id
                          AND month.feature = event.feature
                          AND month.period_start = event.period_start);
    COMMIT;

    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.feature_usage
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(SELECT id FROM public.feature_usage
                             WHERE id > last_key AND id <= next_key AND user_id IS NOT NULL);
            locked := ARRAY(SELECT id FROM public.feature_usage
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.feature_usage
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of feature_usage are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        INSERT INTO public.feature_usage_events
            (user_id, feature, adopted_period, adopted, source, reason, quantity)
        SELECT month.user_id, month.feature, month.period_start, true, 'opening',
               'found in the month when the ledger began',
               coalesce(month.usage_count, 0) - known.quantity
          FROM public.feature_usage AS month
          CROSS JOIN LATERAL (SELECT coalesce(sum(event.quantity), 0) AS quantity
                                FROM public.feature_usage_events AS event
                               WHERE event.user_id = month.user_id
                                 AND event.feature = month.feature
                                 AND event.period_start = month.period_start) AS known
         WHERE month.id = ANY (locked)
           AND coalesce(month.usage_count, 0) <> known.quantity;

        -- NULL counts as 0, which the guard makes of it.
        UPDATE public.feature_usage
           SET usage_count = NULL
         WHERE id = ANY (locked) AND usage_count IS NULL;
        COMMIT;
    END LOOP;
END
$$;


-- create trigger usage_count_on_insert on model featureusageevent
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_on_insert_17e4d() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text; deltas bigint[]; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';
BEGIN
    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)
      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas
      FROM (SELECT "user_id", "feature", "period_start", pg_catalog.sum("quantity") AS delta
              FROM new_values
             GROUP BY "user_id", "feature", "period_start") AS change;
    IF deltas IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF pg_catalog.cardinality(deltas) = 1 AND NOT recounting THEN
        UPDATE "public"."feature_usage"
           SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + deltas[1], "updated_at" = pg_catalog.now()
         WHERE "feature_usage"."user_id" = (SELECT "changed_user_id"[1]) AND "feature_usage"."feature" = (SELECT "changed_feature"[1]) AND "feature_usage"."period_start" = (SELECT "changed_period_start"[1])
        RETURNING "feature_usage"."user_id" = "changed_user_id"[1] AND "feature_usage"."feature" = "changed_feature"[1] AND "feature_usage"."period_start" = "changed_period_start"[1] INTO same_key;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    FOR round IN 1 .. 5 LOOP
        WITH created AS (
            INSERT INTO "public"."feature_usage" ("user_id", "feature", "period_start", "period_end", "usage_count")
            SELECT "user_id", "feature", "period_start", (("period_start" + interval '1 month') - interval '1 day')::date, change.delta
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
             WHERE change.delta >= 0
               AND NOT EXISTS (SELECT FROM "public"."feature_usage" WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start")
             ORDER BY "user_id", "feature", "period_start"
                ON CONFLICT ("user_id", "feature", "period_start") DO NOTHING
            RETURNING "user_id", "feature", "period_start"
        )
        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)
          INTO "changed_user_id", "changed_feature", "changed_period_start", deltas
          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
         WHERE NOT EXISTS (SELECT FROM created WHERE "created"."user_id" = "change"."user_id" AND "created"."feature" = "change"."feature" AND "created"."period_start" = "change"."period_start");
        EXIT WHEN deltas IS NULL;

        PERFORM FROM "public"."feature_usage"
          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"
                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))
          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"
            FOR NO KEY UPDATE;

        WITH updated AS (
            UPDATE "public"."feature_usage"
               SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + change.delta, "updated_at" = pg_catalog.now()
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
            RETURNING "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start", "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
        )
        SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta),
               (SELECT pg_catalog.bool_and(updated.same_key) FROM updated)
          INTO "changed_user_id", "changed_feature", "changed_period_start", deltas, same_key
          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
         WHERE NOT EXISTS (SELECT FROM updated WHERE "updated"."user_id" = "change"."user_id" AND "updated"."feature" = "change"."feature" AND "updated"."period_start" = "change"."period_start");
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
        EXIT WHEN deltas IS NULL;
    END LOOP;
    IF deltas IS NULL THEN
        IF recounting THEN
    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)
      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas
      FROM (SELECT "user_id", "feature", "period_start", pg_catalog.sum("quantity") AS delta
              FROM new_values
             GROUP BY "user_id", "feature", "period_start") AS change;
        PERFORM FROM "public"."feature_usage"
          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"
                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))
          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"
            FOR NO KEY UPDATE;
        WITH updated AS (
            UPDATE "public"."feature_usage"
               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")
                                          FROM "public"."feature_usage_events"
                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")
             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
        )
        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
        END IF;
        RETURN NULL;
    END IF;

    -- A sum that reaches no row would be lost in silence.
    IF EXISTS (SELECT FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
                WHERE change.delta < 0
                  AND NOT EXISTS (SELECT FROM "public"."feature_usage" WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start")) THEN
        RAISE EXCEPTION 'counter %: there is nothing in % that a negative quantity could be '
                        'taken from', 'feature_usage.usage_count', 'feature_usage'
            USING ERRCODE = 'check_violation',
                  HINT = 'A correction needs a row with the same key to correct.';
    END IF;
    RAISE EXCEPTION 'counter %: a trigger of % kept the sum from being written',
                    'feature_usage.usage_count', 'feature_usage'
        USING ERRCODE = 'triggered_action_exception',
              HINT = 'A BEFORE trigger returned NULL. Let it return NEW.';
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_on_insert_17e4d() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_on_insert_17e4d
    AFTER INSERT ON "feature_usage_events"
     REFERENCING NEW TABLE AS new_values 
    FOR EACH STATEMENT WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)
    EXECUTE FUNCTION pgtrigger_usage_count_on_insert_17e4d();
COMMENT ON TRIGGER pgtrigger_usage_count_on_insert_17e4d ON "feature_usage_events" IS '3d87b709379211a0668fbb1c2827a17359f59548';
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


-- create trigger usage_count_on_delete on model featureusageevent
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_on_delete_50441() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE "changed_user_id" integer[]; "changed_feature" varchar(50)[]; "changed_period_start" date[]; same_key boolean; engine text; deltas bigint[]; recounting CONSTANT boolean := coalesce(pg_catalog.current_setting('sentinel.recount', true), '') = 'on';
BEGIN
    SELECT pg_catalog.array_agg(change."user_id"), pg_catalog.array_agg(change."feature"), pg_catalog.array_agg(change."period_start"), pg_catalog.array_agg(change.delta)
      INTO "changed_user_id", "changed_feature", "changed_period_start", deltas
      FROM (SELECT "user_id", "feature", "period_start", -pg_catalog.sum("quantity") AS delta
              FROM old_values
             GROUP BY "user_id", "feature", "period_start") AS change;
    IF deltas IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
        PERFORM FROM "public"."feature_usage"
          WHERE ("feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start") IN (SELECT change."user_id", change."feature", change."period_start"
                                      FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start"))
          ORDER BY "feature_usage"."user_id", "feature_usage"."feature", "feature_usage"."period_start"
            FOR NO KEY UPDATE;
    IF recounting THEN
        WITH updated AS (
            UPDATE "public"."feature_usage"
               SET "usage_count" = coalesce((SELECT pg_catalog.sum("feature_usage_events"."quantity")
                                          FROM "public"."feature_usage_events"
                                         WHERE "feature_usage_events"."user_id" = "change"."user_id" AND "feature_usage_events"."feature" = "change"."feature" AND "feature_usage_events"."period_start" = "change"."period_start"), 0), "updated_at" = pg_catalog.now()
              FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start")) AS change ("user_id", "feature", "period_start")
             WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
            RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
        )
        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
        RETURN NULL;
    END IF;
    WITH updated AS (
        UPDATE "public"."feature_usage"
           SET "usage_count" = coalesce("feature_usage"."usage_count", 0) + change.delta, "updated_at" = pg_catalog.now()
          FROM unnest((SELECT "changed_user_id"), (SELECT "changed_feature"), (SELECT "changed_period_start"), (SELECT deltas)) AS change ("user_id", "feature", "period_start", delta)
         WHERE "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start"
        RETURNING "feature_usage"."user_id" = "change"."user_id" AND "feature_usage"."feature" = "change"."feature" AND "feature_usage"."period_start" = "change"."period_start" AS same_key
    )
    SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            'feature_usage.usage_count', 'feature_usage'
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_on_delete_50441() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_on_delete_50441
    AFTER DELETE ON "feature_usage_events"
     REFERENCING OLD TABLE AS old_values 
    FOR EACH STATEMENT WHEN ((current_setting('sentinel.engine', true) = nullif(pg_trigger_depth(), 0)::text) IS NOT TRUE)
    EXECUTE FUNCTION pgtrigger_usage_count_on_delete_50441();
COMMENT ON TRIGGER pgtrigger_usage_count_on_delete_50441 ON "feature_usage_events" IS '279d94273c158ac9e96eed062148ce4e7efd3bb4';
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


-- create trigger usage_count_on_truncate on model featureusageevent
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_on_truncate_1d18f() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE engine text;
BEGIN
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    UPDATE "public"."feature_usage"
       SET "usage_count" = 0, "updated_at" = pg_catalog.now()
     WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL AND "usage_count" IS DISTINCT FROM 0;
    RETURN NULL;
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_on_truncate_1d18f() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_on_truncate_1d18f
    AFTER TRUNCATE ON "feature_usage_events"
     
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_usage_count_on_truncate_1d18f();
COMMENT ON TRIGGER pgtrigger_usage_count_on_truncate_1d18f ON "feature_usage_events" IS '7fcf061fd59fe7b0de33a386b57ea9b62c44a2c1';
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


-- create trigger usage_count_append_only on model featureusageevent
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
CREATE OR REPLACE FUNCTION pgtrigger_usage_count_append_only_5fc86() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$

BEGIN
    RAISE EXCEPTION 'an event of % cannot be changed', 'feature_usage_events'
        USING ERRCODE = 'restrict_violation',
              HINT = 'Append another event that makes up for it, with its reason.';
END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_usage_count_append_only_5fc86() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_usage_count_append_only_5fc86
    BEFORE UPDATE ON "feature_usage_events"
     
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_usage_count_append_only_5fc86();
COMMENT ON TRIGGER pgtrigger_usage_count_append_only_5fc86 ON "feature_usage_events" IS 'd932ad6497a2295b61be825854853c6b4f8c3eef';
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
-- A month begins without statistics. Until PostgreSQL counts again, it takes a lookup by the month alone for
-- as good as one by the key, in everybody's queries, and reads all rows of the month. So it counts again
-- after one row in a hundred and not in ten, which takes it a fraction of a second a minute.
ALTER TABLE feature_usage
    SET (autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 500);
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


-- build index idx_feature_usage_user_feature_period
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_feature_usage_user_feature_period') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_feature_usage_user_feature_period
    ON feature_usage (user_id, feature, period_start DESC);


-- build index idx_feature_usage_period_start
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_feature_usage_period_start') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_feature_usage_period_start
    ON feature_usage (period_start);


-- build index idx_feature_usage_updated_at
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_feature_usage_updated_at') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_feature_usage_updated_at
    ON feature_usage (updated_at DESC);


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
-- Functions that count, for the existing application, operators and ours.
--
-- They run with their owner's rights, since nobody else has any on the ledger; who may execute them
-- is in grant_functions.sql. Parameters are written with their function's name before them: they are
-- called like columns.
--
-- A month and a feature are looked up as sub-selects. PostgreSQL plans with the values that it sees, and
-- of a month that has just begun its statistics say that there is hardly a row: so it would rather read
-- all rows of the month by the index on it than the one row by its key.


-- The event for which a user has used an idempotency key; NULL where the key is free. 0004 looks
-- among the archived ones as well.
CREATE OR REPLACE FUNCTION public.find_usage_event(user_id integer, idempotency_key text)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    RETURN (SELECT event.id
              FROM public.feature_usage_events AS event
             WHERE event.user_id = find_usage_event.user_id
               AND event.idempotency_key = find_usage_event.idempotency_key);
END
$function$;


-- Count uses if a limit admits them: lock, compare, append, in one call. However many come at once,
-- no more are admitted than the limit says.
--
-- per_lifetime: compare the lifetime of the account instead of the month.
-- Features with a lifetime column in users raise it either way: it outlives the months.
-- Locks in this order: the user (such features alone), the month.
CREATE OR REPLACE FUNCTION public.admit_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text,
    source          text,
    occurred_at     timestamptz,
    per_lifetime    boolean,
    OUT admitted    boolean,
    OUT duplicate   boolean,
    OUT used_before integer,
    OUT used_after  integer,
    OUT event_id    bigint
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
DECLARE
    largest      CONSTANT bigint := 2147483647;
    month        CONSTANT date := date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date;
    has_lifetime CONSTANT boolean :=
        admit_usage.feature IN ('chat_messages_monthly', 'travel_assessments_monthly');
    lifetime     integer;
    used         integer;
    user_there   boolean;
BEGIN
    IF admit_usage.user_id IS NULL OR admit_usage.feature IS NULL
       OR admit_usage.quantity IS NULL OR admit_usage.occurred_at IS NULL
       OR admit_usage.source IS NULL THEN
        RAISE EXCEPTION 'usage of %, feature %, quantity %: an argument is NULL',
                        coalesce(admit_usage.user_id::text, 'NULL'),
                        coalesce(admit_usage.feature, 'NULL'),
                        coalesce(admit_usage.quantity::text, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of a user, the name of a feature, and how many uses.';
    ELSIF admit_usage.quantity < 1 THEN
        RAISE EXCEPTION 'a quantity of % cannot be used', admit_usage.quantity
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give 1 or more; refund_feature_usage gives back.';
    ELSIF admit_usage.feature = '' OR length(admit_usage.feature) > 50 THEN
        RAISE EXCEPTION 'a feature cannot be called %', quote_literal(admit_usage.feature)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 to 50 characters.';
    ELSIF admit_usage.idempotency_key = '' OR length(admit_usage.idempotency_key) > 200 THEN
        RAISE EXCEPTION 'an idempotency key of % characters',
                        length(admit_usage.idempotency_key)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 to 200 characters.';
    ELSIF admit_usage.idempotency_key LIKE 'refund:%' THEN
        RAISE EXCEPTION 'idempotency key %: keys that begin with refund: are those of refunds',
                        quote_literal(admit_usage.idempotency_key)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give another key.';
    ELSIF per_lifetime AND NOT has_lifetime THEN
        RAISE EXCEPTION 'feature % is not counted for a lifetime', admit_usage.feature
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Count it by the month.';
    END IF;

    IF has_lifetime THEN
        SELECT coalesce(CASE admit_usage.feature
                            WHEN 'chat_messages_monthly' THEN users.lifetime_chat_messages
                            ELSE users.lifetime_travel_assessments
                        END, 0)
          INTO lifetime
          FROM public.users
         WHERE users.id = admit_usage.user_id
           FOR NO KEY UPDATE;
        user_there := FOUND;
    END IF;

    IF per_lifetime THEN
        used := lifetime;
    ELSE
        SELECT coalesce(counted.usage_count, 0)
          INTO used
          FROM public.feature_usage AS counted
         WHERE counted.user_id = admit_usage.user_id
           AND counted.feature = (SELECT admit_usage.feature)
           AND counted.period_start = (SELECT month)
           FOR NO KEY UPDATE;
    END IF;

    IF used IS NULL AND user_there IS NULL THEN
        user_there := EXISTS (SELECT FROM public.users WHERE users.id = admit_usage.user_id);
    END IF;
    IF NOT user_there THEN
        RAISE EXCEPTION 'there is no user %', admit_usage.user_id
            USING ERRCODE = 'foreign_key_violation',
                  HINT = 'Give the id of a row of users.';
    END IF;

    IF used IS NULL AND admit_usage.quantity <= coalesce(usage_limit, admit_usage.quantity) THEN
        -- The month's first use: there must be a row to lock, or two would be first.
        INSERT INTO public.feature_usage AS counted
            (user_id, feature, usage_count, period_start, period_end)
        VALUES (admit_usage.user_id, admit_usage.feature, 0, month,
                (month + interval '1 month' - interval '1 day')::date)
            ON CONFLICT (user_id, feature, period_start) DO NOTHING;
        SELECT coalesce(counted.usage_count, 0)
          INTO used
          FROM public.feature_usage AS counted
         WHERE counted.user_id = admit_usage.user_id
           AND counted.feature = (SELECT admit_usage.feature)
           AND counted.period_start = (SELECT month)
           FOR NO KEY UPDATE;
    END IF;
    used_before := coalesce(used, 0);
    used_after := used_before;
    admitted := true;
    duplicate := false;

    IF admit_usage.idempotency_key IS NOT NULL THEN
        event_id := public.find_usage_event(admit_usage.user_id, admit_usage.idempotency_key);
        IF event_id IS NOT NULL THEN
            duplicate := true;
            RETURN;
        END IF;
    END IF;

    IF used_before::bigint + admit_usage.quantity > usage_limit THEN
        admitted := false;
        RETURN;
    ELSIF used_before::bigint + admit_usage.quantity > largest
          OR lifetime::bigint + admit_usage.quantity > largest THEN
        RAISE EXCEPTION 'user % has used % % times: % more are beyond what the column holds',
                        admit_usage.user_id, admit_usage.feature,
                        greatest(used_before, lifetime), admit_usage.quantity
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'The sum is an integer: 2147483647 at most.';
    END IF;

    INSERT INTO public.feature_usage_events
        (user_id, feature, quantity, occurred_at, idempotency_key, source)
    VALUES (admit_usage.user_id, admit_usage.feature, admit_usage.quantity,
            admit_usage.occurred_at, admit_usage.idempotency_key, admit_usage.source)
        ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO event_id;
    IF event_id IS NULL THEN
        -- The same key, used at the same time for another feature.
        duplicate := true;
        event_id := public.find_usage_event(admit_usage.user_id, admit_usage.idempotency_key);
        RETURN;
    END IF;

    IF has_lifetime THEN
        UPDATE public.users
           SET lifetime_chat_messages = CASE admit_usage.feature
                   WHEN 'chat_messages_monthly' THEN lifetime + admit_usage.quantity
                   ELSE lifetime_chat_messages END,
               lifetime_travel_assessments = CASE admit_usage.feature
                   WHEN 'travel_assessments_monthly' THEN lifetime + admit_usage.quantity
                   ELSE lifetime_travel_assessments END
         WHERE users.id = admit_usage.user_id;
    END IF;
    used_after := used_before + admit_usage.quantity;
END
$function$;

COMMENT ON FUNCTION public.admit_usage IS
    'The body of admit_feature_usage and admit_lifetime_usage, which run it with their rights.';


-- Count uses of this month, or of that of occurred_at, up to a limit (NULL: unlimited).
--
-- admitted is false where the limit stands against it, and nothing was written. duplicate is true
-- where the user had used the key before: nothing was counted again, and event_id is the first one.
CREATE OR REPLACE FUNCTION public.admit_feature_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text DEFAULT NULL,
    source          text DEFAULT 'consume',
    occurred_at     timestamptz DEFAULT now()
) RETURNS TABLE (admitted boolean, duplicate boolean, used_before integer, used_after integer,
                 event_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT * FROM public.admit_usage(
        user_id, feature, quantity, usage_limit, idempotency_key, source, occurred_at, false);
END
$function$;


-- The same for a limit on the lifetime of the account: lifetime_chat_messages for
-- chat_messages_monthly, lifetime_travel_assessments for travel_assessments_monthly.
CREATE OR REPLACE FUNCTION public.admit_lifetime_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text DEFAULT NULL,
    source          text DEFAULT 'consume',
    occurred_at     timestamptz DEFAULT now()
) RETURNS TABLE (admitted boolean, duplicate boolean, used_before integer, used_after integer,
                 event_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT * FROM public.admit_usage(
        user_id, feature, quantity, usage_limit, idempotency_key, source, occurred_at, true);
END
$function$;


-- Give back what an event has counted, in its month. False where it was given back before.
CREATE OR REPLACE FUNCTION public.refund_feature_usage(event_id bigint, reason text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    taken    record;
    refunded bigint;
BEGIN
    IF refund_feature_usage.event_id IS NULL OR refund_feature_usage.reason IS NULL THEN
        RAISE EXCEPTION 'a refund of event % with reason %: an argument is NULL',
                        coalesce(refund_feature_usage.event_id::text, 'NULL'),
                        coalesce(refund_feature_usage.reason, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of an event and the reason for giving it back.';
    END IF;
    SELECT event.* INTO taken
      FROM public.feature_usage_events AS event
     WHERE event.id = refund_feature_usage.event_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no usage event %', refund_feature_usage.event_id
            USING ERRCODE = 'no_data_found',
                  HINT = 'The id is that which was returned when the use was counted. A month '
                         'that was archived is brought back by manage.py restore_feature_usage.';
    ELSIF taken.quantity < 0 THEN
        RAISE EXCEPTION 'event % took nothing: its quantity is %', taken.id, taken.quantity
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Count the use again instead.';
    END IF;

    IF taken.feature IN ('chat_messages_monthly', 'travel_assessments_monthly') THEN
        PERFORM FROM public.users WHERE users.id = taken.user_id FOR NO KEY UPDATE;
    END IF;
    -- Nobody else may use such a key: see the table.
    INSERT INTO public.feature_usage_events
        (user_id, feature, quantity, occurred_at, idempotency_key, source, reason,
         adopted, adopted_period)
    VALUES (taken.user_id, taken.feature, -taken.quantity, taken.occurred_at,
            'refund:' || taken.id, 'refund', refund_feature_usage.reason,
            taken.adopted, taken.adopted_period)
        ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO refunded;
    IF refunded IS NULL THEN
        RETURN false;
    END IF;

    IF taken.feature = 'chat_messages_monthly' THEN
        UPDATE public.users
           SET lifetime_chat_messages = greatest(0, lifetime_chat_messages - taken.quantity)
         WHERE users.id = taken.user_id;
    ELSIF taken.feature = 'travel_assessments_monthly' THEN
        UPDATE public.users
           SET lifetime_travel_assessments =
                   greatest(0, lifetime_travel_assessments - taken.quantity)
         WHERE users.id = taken.user_id;
    END IF;
    RETURN true;
END
$function$;


-- Add n uses to this month, whatever the limit, and return the new count.
CREATE OR REPLACE FUNCTION public.increment_feature_usage_safe(
    user_id integer,
    feature varchar(50),
    n       integer DEFAULT 1
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN (SELECT used_after
              FROM public.admit_usage(user_id, feature, n, NULL, NULL, 'increment', now(), false));
END
$function$;


-- How often the user has used the feature this month: 0 where never.
CREATE OR REPLACE FUNCTION public.get_feature_usage(user_id integer, feature varchar)
RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF get_feature_usage.user_id IS NULL OR get_feature_usage.feature IS NULL THEN
        RAISE EXCEPTION 'get_feature_usage(%, %): an argument is NULL',
                        coalesce(get_feature_usage.user_id::text, 'NULL'),
                        coalesce(get_feature_usage.feature, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of a user and the name of a feature.';
    END IF;
    RETURN coalesce(
        (SELECT counted.usage_count
           FROM public.feature_usage AS counted
          WHERE counted.user_id = get_feature_usage.user_id
            AND counted.feature = (SELECT get_feature_usage.feature)
            AND counted.period_start
                = (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date)),
        0);
END
$function$;


-- What the user has used this month, by feature.
CREATE OR REPLACE FUNCTION public.get_user_feature_usage(user_id integer)
RETURNS TABLE (feature varchar, usage_count integer, period_start date, period_end date,
               last_used timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF get_user_feature_usage.user_id IS NULL THEN
        RAISE EXCEPTION 'get_user_feature_usage(NULL): whose usage?'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Give the id of a user.';
    END IF;
    RETURN QUERY
    SELECT counted.feature, counted.usage_count, counted.period_start, counted.period_end,
           counted.updated_at
      FROM public.feature_usage AS counted
     WHERE counted.user_id = get_user_feature_usage.user_id
       AND counted.period_start = (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date)
     ORDER BY counted.feature;
END
$function$;

-- Who may execute the functions that count: whoever may write feature_usage anyway, and nobody
-- else. They run with their owner's rights. A role that comes later is given the same by hand:
--     GRANT EXECUTE ON FUNCTION increment_feature_usage_safe TO that_role;
DO $$
DECLARE
    function regprocedure;
    grantee  text;
BEGIN
    FOR function IN
        SELECT oid::regprocedure
          FROM pg_catalog.pg_proc
         WHERE pronamespace = 'public'::regnamespace
           AND proname IN ('find_usage_event', 'admit_usage', 'admit_feature_usage',
                           'admit_lifetime_usage', 'refund_feature_usage',
                           'increment_feature_usage_safe', 'get_feature_usage',
                           'get_user_feature_usage', 'find_limit', 'feature_limit', 'required_plan',
                           'feature_used', 'use_feature', 'use_feature_or_raise')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
        FOR grantee IN
            SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                                 ELSE held.grantee::regrole::text END
              FROM pg_catalog.pg_class
             CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
             WHERE oid = 'public.feature_usage'::regclass
               AND held.privilege_type IN ('INSERT', 'UPDATE')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, grantee);
        END LOOP;
    END LOOP;
END
$$;
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


-- usage.0003_plan_limits ----------------------------------------------------------------------------
\echo 'usage.0003_plan_limits'

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
-- What the plans allow. Rows are edited in the admin; see usage/limit_models.py.

-- A foreign key to a busy table waits for its writers. Half a second is less than
-- deadlock_timeout: in a deadlock with a live writer it is the migration that loses. Run it again.
SET LOCAL lock_timeout = '500ms';

CREATE TABLE IF NOT EXISTS public.feature_plan_limits (
    id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    plan        text        NOT NULL REFERENCES public.plans ON DELETE CASCADE,
    feature     varchar(50) NOT NULL,
    usage_limit integer     CHECK (usage_limit >= 0),  -- NULL: unlimited; 0: not in the plan
    per         varchar(20) CHECK (per IN ('month', 'lifetime', 'object', 'account')),
    tier        varchar(50),
    CONSTRAINT feature_plan_limits_plan_feature_key UNIQUE (plan, feature),
    -- Only these have a column of `users` that counts them over all months.
    CONSTRAINT feature_plan_limits_lifetime_check CHECK (
        per <> 'lifetime' OR feature IN ('chat_messages_monthly', 'travel_assessments_monthly')
    )
);

-- How long a plan may be tried. FREE has no row.
CREATE TABLE IF NOT EXISTS public.plan_trials (
    plan text    PRIMARY KEY REFERENCES public.plans ON DELETE CASCADE,
    days integer NOT NULL CHECK (days > 0)
);
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
-- What single users are allowed, whatever their plan is. The existing application deletes users by
-- SQL, so the database itself takes the rows along.

SET LOCAL lock_timeout = '500ms';  -- as above: the foreign key waits for writers of users

CREATE TABLE IF NOT EXISTS public.feature_limit_overrides (
    id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    user_id     integer     NOT NULL REFERENCES public.users ON DELETE CASCADE,
    feature     varchar(50) NOT NULL,
    usage_limit integer     CHECK (usage_limit >= 0),  -- NULL: unlimited
    per         varchar(20) CHECK (per IN ('month', 'lifetime', 'object', 'account')),
    tier        varchar(50),
    until       timestamptz,                           -- at that second it is over
    reason      text        NOT NULL CHECK (btrim(reason) <> ''),
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT feature_limit_overrides_user_id_feature_key UNIQUE (user_id, feature),
    CONSTRAINT feature_limit_overrides_lifetime_check CHECK (
        per <> 'lifetime' OR feature IN ('chat_messages_monthly', 'travel_assessments_monthly')
    )
);
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
-- The price list. Rows that are there stay as they were edited, and a plan that is gone gets none.

-- What is counted or measured: NULL is unlimited, 0 is not in the plan.
INSERT INTO public.feature_plan_limits (plan, feature, per, usage_limit)
SELECT plans.name, line.feature,
       CASE WHEN plans.name = 'FREE' THEN line.per_free ELSE line.per END,
       CASE plans.name
           WHEN 'FREE' THEN line.free
           WHEN 'PRO' THEN line.pro
           WHEN 'BUSINESS' THEN line.business
           ELSE line.enterprise
       END
  FROM (VALUES
    -- feature                      per        of FREE     FREE   PRO BUSINESS ENTERPRISE
    ('chat_messages_monthly',      'month',   'lifetime',    3,   500,   1000,   2500),
    ('conversation_threads',       'account', 'account',     5,    50,    100,   NULL),
    ('messages_per_thread',        'object',  'object',      3,    50,    100,   NULL),
    ('trip_planner_destinations',  'object',  'object',      0,     5,     10,   NULL),
    ('saved_searches',             'account', 'account',     0,     3,     10,   NULL),
    ('pdf_exports_monthly',        'month',   'month',       1,    10,   NULL,   NULL),
    ('travel_assessments_monthly', 'month',   'lifetime',    1,  NULL,   NULL,   NULL),
    ('weekly_digest_schedules',    'account', 'account',     0,     1,      3,   NULL),
    ('map_access_days',            'object',  'object',      2,    30,     90,    365),
    ('timeline_days',              'object',  'object',      0,    30,     90,    365),
    ('team_users',                 'account', 'account',     0,     0,      3,   NULL)
  ) AS line (feature, per, per_free, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
ON CONFLICT DO NOTHING;

-- What is there or not.
INSERT INTO public.feature_plan_limits (plan, feature, usage_limit)
SELECT plans.name, line.feature,
       CASE WHEN CASE plans.name
                     WHEN 'FREE' THEN line.free
                     WHEN 'PRO' THEN line.pro
                     WHEN 'BUSINESS' THEN line.business
                     ELSE line.enterprise
                 END
            THEN NULL ELSE 0
       END
  FROM (VALUES
    -- feature                   FREE   PRO    BUSINESS ENTERPRISE
    ('can_archive_threads',     false, true,  true,  true),
    ('chat_export_pdf',         false, true,  true,  true),
    ('email_alerts',            false, true,  true,  true),
    ('timeline_access',         false, true,  true,  true),
    ('weekly_trends',           false, true,  true,  true),
    ('map_filters',             false, true,  true,  true),
    ('sms_alerts',              false, false, true,  true),
    ('geofenced_alerts',        false, false, true,  true),
    ('map_custom_filters',      false, false, true,  true),
    ('map_historical_playback', false, false, true,  true),
    ('map_comparison_mode',     false, false, true,  true),
    ('route_analysis',          false, false, true,  true),
    ('safe_zones_overlay',      false, false, true,  true),
    ('briefing_packages',       false, true,  true,  true),
    ('custom_reports',          false, false, false, true),
    ('api_access',              false, false, false, true),
    ('analyst_access',          false, false, false, true),
    ('monthly_briefing',        false, false, false, true)
  ) AS line (feature, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
ON CONFLICT DO NOTHING;

-- What is a word: NULL is not in the plan.
INSERT INTO public.feature_plan_limits (plan, feature, usage_limit, tier)
SELECT plans.name, line.feature, CASE WHEN chosen.tier IS NULL THEN 0 END, chosen.tier
  FROM (VALUES
    -- feature                FREE         PRO          BUSINESS        ENTERPRISE
    ('support_level',        'email_48h', 'email_24h', 'priority_24h', 'analyst_4h'),
    ('map_export',           NULL,        'csv',       'all',          'all'),
    ('statistics_dashboard', NULL,        'basic',     'advanced',     'custom')
  ) AS line (feature, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
 CROSS JOIN LATERAL (
    SELECT CASE plans.name
               WHEN 'FREE' THEN line.free
               WHEN 'PRO' THEN line.pro
               WHEN 'BUSINESS' THEN line.business
               ELSE line.enterprise
           END AS tier
  ) AS chosen
ON CONFLICT DO NOTHING;

INSERT INTO public.plan_trials (plan, days)
SELECT plans.name, line.days
  FROM (VALUES ('PRO', 7), ('BUSINESS', 7), ('ENTERPRISE', 14)) AS line (plan, days)
  JOIN public.plans ON plans.name = line.plan
ON CONFLICT DO NOTHING;
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
-- What a user is allowed, and whether a use is.
--
-- Nothing here counts: that is what admit_usage does, under the lock of the row that it compares.
-- Parameters are named with their function where a column has the same name.


-- How much of a feature a user is allowed at a moment: by an override that is still valid, or else
-- by the plan. A trial that has ended is FREE. A limit of NULL is unlimited, 0 is not there, which
-- is also what a feature without a row in the plan is.
--
-- This is the body of feature_limit, which runs it with its owner's rights.
CREATE OR REPLACE FUNCTION public.find_limit(
    user_id         integer,
    feature         varchar,
    moment          timestamptz,
    OUT plan        text,
    OUT usage_limit integer,
    OUT per         text,
    OUT tier        text,
    OUT overridden  boolean
)
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    -- trial_ends_at is a timestamp without zone that holds UTC.
    SELECT CASE WHEN users.is_trial AND users.trial_ends_at <= moment AT TIME ZONE 'UTC'
                THEN 'FREE'
                ELSE coalesce(users.plan, 'FREE')
           END
      INTO find_limit.plan
      FROM public.users
     WHERE users.id = find_limit.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no user %', coalesce(find_limit.user_id::text, 'NULL')
            USING ERRCODE = 'foreign_key_violation';
    END IF;

    SELECT CASE WHEN special.id IS NOT NULL THEN special.usage_limit
                WHEN usual.id IS NOT NULL THEN usual.usage_limit
                ELSE 0
           END,
           coalesce(special.per, usual.per)::text,
           coalesce(special.tier, usual.tier)::text,
           special.id IS NOT NULL
      INTO usage_limit, per, tier, overridden
      FROM (SELECT) AS always
      LEFT JOIN public.feature_plan_limits AS usual
        ON usual.plan = find_limit.plan
       AND usual.feature = find_limit.feature
      LEFT JOIN public.feature_limit_overrides AS special
        ON special.user_id = find_limit.user_id
       AND special.feature = find_limit.feature
       AND (special.until IS NULL OR special.until > moment);
END
$function$;


CREATE OR REPLACE FUNCTION public.feature_limit(
    user_id integer,
    feature varchar,
    moment  timestamptz DEFAULT now()
) RETURNS TABLE (plan text, usage_limit integer, per text, tier text, overridden boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY SELECT * FROM public.find_limit(user_id, feature, moment);
END
$function$;


-- The cheapest plan that allows so much of a feature, or one of these tiers; NULL where none does.
-- Where a plan is given, only those that cost more are looked at: what to move up to.
CREATE OR REPLACE FUNCTION public.required_plan(
    feature varchar,
    needed  integer DEFAULT 1,
    tiers   text[] DEFAULT NULL,
    above   text DEFAULT NULL
) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
    SELECT plans.name
      FROM public.plans
      JOIN public.feature_plan_limits AS limits ON limits.plan = plans.name
     WHERE limits.feature = required_plan.feature
       AND (limits.usage_limit IS NULL OR limits.usage_limit >= greatest(needed, 1))
       AND (tiers IS NULL OR limits.tier = ANY (tiers))
       AND (above IS NULL
            OR (plans.price_cents, plans.name) > (SELECT own.price_cents, own.name
                                                    FROM public.plans AS own
                                                   WHERE own.name = above))
     ORDER BY plans.price_cents, plans.name
     LIMIT 1
$function$;


-- When a limit starts anew: the first moment of the next month in UTC, or never.
CREATE OR REPLACE FUNCTION public.feature_resets_at(per text, moment timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE
AS $function$
    SELECT CASE WHEN per = 'month'
                THEN (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month')
                     AT TIME ZONE 'UTC'
           END
$function$;


-- How much of a feature was used in the month of this moment, or in the lifetime of the account.
-- NULL where a limit is for something else, which the ledger does not count.
CREATE OR REPLACE FUNCTION public.feature_used(
    user_id integer,
    feature varchar,
    per     text,
    moment  timestamptz
) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF per = 'lifetime' THEN
        RETURN (SELECT coalesce(CASE feature_used.feature
                                    WHEN 'chat_messages_monthly' THEN lifetime_chat_messages
                                    WHEN 'travel_assessments_monthly'
                                        THEN lifetime_travel_assessments
                                END, 0)
                  FROM public.users
                 WHERE users.id = feature_used.user_id);
    ELSIF per = 'month' THEN
        RETURN coalesce(
            (SELECT counted.usage_count
               FROM public.feature_usage AS counted
              WHERE counted.user_id = feature_used.user_id
                AND counted.feature = (SELECT feature_used.feature)  -- see 0002_functions.sql
                AND counted.period_start
                    = (SELECT date_trunc('month', moment AT TIME ZONE 'UTC')::date)),
            0);
    END IF;
    RETURN NULL;
END
$function$;


-- What came of a use. See use_feature.
DO $$
BEGIN
    IF to_regtype('public.feature_use') IS NULL THEN
        CREATE TYPE public.feature_use AS (
            admitted       boolean,
            reason         text,         -- why not: 'disabled', 'limit', 'tier'; NULL if admitted
            plan           text,         -- the user's, at that moment
            required_plan  text,         -- the cheapest that would admit it; NULL: none, or admitted
            usage_limit    integer,      -- NULL: unlimited
            per            text,         -- what the limit is for; NULL: nothing is counted
            tier           text,
            overridden     boolean,      -- the limit is the user's own, not the plan's
            used_before    integer,      -- in the month or lifetime; NULL for other limits
            used_after     integer,
            resets_at      timestamptz,
            duplicate      boolean,      -- the key had been used: nothing was counted again
            event_id       bigint,       -- in the ledger; NULL where nothing was recorded
            tracking_error text,         -- what the database said
            error_in       text          -- 'limit': not checked; 'tracking': not recorded
        );
    END IF;
END
$$;


-- Check and record one use, or raise. use_feature is the way in.
CREATE OR REPLACE FUNCTION public.use_feature_or_raise(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    idempotency_key text,
    asked           integer,
    tiers           text[],
    track           boolean,
    enforce         boolean,
    source          text,
    moment          timestamptz
) RETURNS public.feature_use
LANGUAGE plpgsql
AS $function$
DECLARE
    outcome    public.feature_use;
    allowed    record;
    recorded   record;
    counted    boolean;
    wrong_tier boolean;
    needed     bigint := asked;
BEGIN
    allowed := public.find_limit(user_id, feature, moment);
    outcome.plan := allowed.plan;
    outcome.usage_limit := allowed.usage_limit;
    outcome.per := allowed.per;
    outcome.tier := allowed.tier;
    outcome.overridden := allowed.overridden;

    counted := coalesce(outcome.per IN ('month', 'lifetime'), false);
    wrong_tier := tiers IS NOT NULL AND NOT coalesce(outcome.tier = ANY (tiers), false);
    outcome.duplicate := false;
    outcome.reason := CASE
        WHEN outcome.usage_limit = 0 THEN 'disabled'
        WHEN wrong_tier THEN 'tier'
        WHEN NOT counted AND asked > outcome.usage_limit THEN 'limit'
    END;

    IF counted THEN
        outcome.resets_at := public.feature_resets_at(outcome.per, moment);
        IF track AND asked > 0 AND NOT (wrong_tier AND enforce) THEN
            -- Compares again and counts, under a lock. A key that was used is admitted as it was
            -- then, whatever the limit is now.
            recorded := public.admit_usage(
                user_id, feature, asked, CASE WHEN enforce THEN outcome.usage_limit END,
                idempotency_key, source, moment, outcome.per = 'lifetime');
            outcome.used_before := recorded.used_before;
            outcome.used_after := recorded.used_after;
            outcome.duplicate := recorded.duplicate;
            outcome.event_id := recorded.event_id;
        ELSE
            outcome.used_before := public.feature_used(user_id, feature, outcome.per, moment);
            outcome.used_after := outcome.used_before;
        END IF;
        needed := outcome.used_before::bigint + asked;
        IF outcome.duplicate THEN
            outcome.reason := NULL;
        ELSIF outcome.reason IS NULL AND asked > 0 AND needed > outcome.usage_limit THEN
            outcome.reason := 'limit';
        END IF;
    ELSIF track AND (outcome.reason IS NULL OR NOT enforce) THEN
        recorded := public.admit_usage(
            user_id, feature, quantity, NULL, idempotency_key, source, moment, false);
        outcome.duplicate := recorded.duplicate;
        outcome.event_id := recorded.event_id;
    END IF;

    outcome.admitted := outcome.reason IS NULL OR NOT enforce;
    IF outcome.reason IS NOT NULL AND NOT outcome.overridden THEN
        -- Plans above FREE limit the month, not the lifetime: ask them for the month.
        IF outcome.per = 'lifetime' THEN
            needed := public.feature_used(user_id, feature, 'month', moment)::bigint + asked;
        END IF;
        outcome.required_plan := public.required_plan(
            feature, least(needed, 2147483647)::integer, tiers, outcome.plan);
    END IF;
    RETURN outcome;
END
$function$;


-- Check a use of a feature against the user's limit and record it, in one call.
--
-- quantity         how many uses are recorded where the limit is not one of uses
-- idempotency_key  of the user's; one that was used before counts nothing
-- provided         how much is asked for: uses, where these are limited; otherwise how much of it
--                  there would be (destinations of the trip, threads of the user). NULL: quantity
-- tiers            which words of a tiered feature will do; NULL: any
-- track            false: compare only, write nothing
-- enforce          false: admit and record whatever the limit; reason says what it would have been
-- tolerant         true: an error is no error of the statement, but returned. If the use could not
--                  be recorded, the limit is checked without it. This costs a subtransaction.
-- source           where from, for the ledger
-- moment           when
--
-- Raises for an unknown user (23503), and for a quantity below 1 or a provided below 0 (22023), the
-- last two also where tolerant: they are mistakes of the caller.
CREATE OR REPLACE FUNCTION public.use_feature(
    user_id         integer,
    feature         varchar,
    quantity        integer DEFAULT 1,
    idempotency_key text DEFAULT NULL,
    provided        integer DEFAULT NULL,
    tiers           text[] DEFAULT NULL,
    track           boolean DEFAULT true,
    enforce         boolean DEFAULT true,
    tolerant        boolean DEFAULT false,
    source          text DEFAULT 'consume',
    moment          timestamptz DEFAULT now()
) RETURNS public.feature_use
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
DECLARE
    outcome public.feature_use;
    problem text;
    asked   CONSTANT integer := coalesce(provided, quantity);
BEGIN
    IF quantity IS NULL OR quantity < 1 THEN
        RAISE EXCEPTION 'a quantity of % cannot be used', coalesce(quantity::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 or more.';
    ELSIF asked < 0 THEN
        RAISE EXCEPTION 'there cannot be % of a feature', asked
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 0 or more.';
    ELSIF track IS NULL OR enforce IS NULL OR tolerant IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'track, enforce, tolerant and moment cannot be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;

    IF NOT tolerant THEN
        RETURN public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                           tiers, track, enforce, source, moment);
    END IF;

    BEGIN
        RETURN public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                           tiers, track, enforce, source, moment);
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
    END;

    -- What failed, the check or the record?
    BEGIN
        outcome := public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                               tiers, false, enforce, source, moment);
        outcome.error_in := 'tracking';
    EXCEPTION WHEN OTHERS THEN
        outcome := NULL;
        outcome.admitted := NOT enforce;
        outcome.duplicate := false;
        outcome.error_in := 'limit';
    END;
    outcome.tracking_error := problem;
    RETURN outcome;
END
$function$;


REVOKE ALL ON FUNCTION
    public.find_limit(integer, varchar, timestamptz),
    public.feature_limit(integer, varchar, timestamptz),
    public.required_plan(varchar, integer, text[], text),
    public.feature_resets_at(text, timestamptz),
    public.feature_used(integer, varchar, text, timestamptz),
    public.use_feature_or_raise(integer, varchar, integer, text, integer, text[], boolean, boolean,
                                text, timestamptz),
    public.use_feature(integer, varchar, integer, text, integer, text[], boolean, boolean, boolean,
                       text, timestamptz)
FROM PUBLIC;
-- Who may execute the functions that count: whoever may write feature_usage anyway, and nobody
-- else. They run with their owner's rights. A role that comes later is given the same by hand:
--     GRANT EXECUTE ON FUNCTION increment_feature_usage_safe TO that_role;
DO $$
DECLARE
    function regprocedure;
    grantee  text;
BEGIN
    FOR function IN
        SELECT oid::regprocedure
          FROM pg_catalog.pg_proc
         WHERE pronamespace = 'public'::regnamespace
           AND proname IN ('find_usage_event', 'admit_usage', 'admit_feature_usage',
                           'admit_lifetime_usage', 'refund_feature_usage',
                           'increment_feature_usage_safe', 'get_feature_usage',
                           'get_user_feature_usage', 'find_limit', 'feature_limit', 'required_plan',
                           'feature_used', 'use_feature', 'use_feature_or_raise')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
        FOR grantee IN
            SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                                 ELSE held.grantee::regrole::text END
              FROM pg_catalog.pg_class
             CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
             WHERE oid = 'public.feature_usage'::regclass
               AND held.privilege_type IN ('INSERT', 'UPDATE')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, grantee);
        END LOOP;
    END LOOP;
END
$$;
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


-- usage.0004_archive --------------------------------------------------------------------------------
\echo 'usage.0004_archive'

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
-- The archive: months and events that have left the ledger, as they were, the runs that moved them,
-- and the idempotency keys that stay used. No foreign key leads out of it: an account that is
-- deleted leaves its figures here, under a number that names nobody any more, until they are erased.
--
-- The tables are kept when the app is taken out again, so they may be there already.
CREATE TABLE IF NOT EXISTS feature_usage_archive_runs (
    id            bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'running',
    before        date NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz,
    batches       integer NOT NULL DEFAULT 0,
    months        date[] NOT NULL DEFAULT '{}',
    rows_moved    bigint NOT NULL DEFAULT 0,
    events_moved  bigint NOT NULL DEFAULT 0,
    database_user text NOT NULL DEFAULT session_user,
    host          text,
    process       integer,
    error         text,

    CONSTRAINT feature_usage_archive_runs_state
        CHECK (state IN ('running', 'complete', 'failed', 'killed'))
);

CREATE TABLE IF NOT EXISTS feature_usage_archive (
    id           integer PRIMARY KEY,
    user_id      integer,
    feature      varchar(50) NOT NULL,
    usage_count  bigint,  -- a late part may be added to what an integer held
    period_start date NOT NULL,
    period_end   date NOT NULL,
    created_at   timestamp,
    updated_at   timestamptz,
    archived_at  timestamptz NOT NULL,
    run_id       bigint NOT NULL,

    -- Rows without a user are nobody's: each of them stays a row of its own.
    CONSTRAINT feature_usage_archive_key UNIQUE (user_id, feature, period_start)
);

CREATE INDEX IF NOT EXISTS idx_usage_archive_period
    ON feature_usage_archive (period_start);

CREATE TABLE IF NOT EXISTS feature_usage_events_archive (
    id              bigint PRIMARY KEY,
    user_id         integer NOT NULL,
    feature         varchar(50) NOT NULL,
    quantity        integer NOT NULL,
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    idempotency_key varchar(200),
    source          varchar(50) NOT NULL,
    reason          text,
    adopted         boolean NOT NULL,
    adopted_period  date,
    period_start    date NOT NULL,
    archived_at     timestamptz NOT NULL,
    run_id          bigint NOT NULL
);

-- One index for both: what a month holds, and what a user has in it.
CREATE INDEX IF NOT EXISTS idx_usage_events_archive_month
    ON feature_usage_events_archive (period_start, user_id, feature);

-- Apart from the events, since a key stays used when its event was exported and removed.
CREATE TABLE IF NOT EXISTS feature_usage_archived_keys (
    user_id         integer NOT NULL,
    idempotency_key varchar(200) NOT NULL,
    event_id        bigint NOT NULL,

    PRIMARY KEY (user_id, idempotency_key)
);
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


-- create trigger archived_keys_on_insert on model featureusageevent
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
CREATE OR REPLACE FUNCTION pgtrigger_archived_keys_on_insert_11aed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET sentinel.engine = ''
AS $sentinel$
DECLARE taken record;
BEGIN
    SELECT event.user_id, event.idempotency_key, archived.event_id
      INTO taken
      FROM new_values AS event
     CROSS JOIN LATERAL (SELECT used.event_id
                           FROM public.feature_usage_archived_keys AS used
                          WHERE used.user_id = event.user_id
                            AND used.idempotency_key = event.idempotency_key
                          LIMIT 1) AS archived
     WHERE event.idempotency_key IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'user % has used the key % before, for event %, which is archived',
                        taken.user_id, pg_catalog.quote_literal(taken.idempotency_key),
                        taken.event_id
            USING ERRCODE = 'unique_violation',
                  HINT = 'The use was counted then: leave it out, or ask find_usage_event first.';
    END IF;
    RETURN NULL;

END;
$sentinel$;
REVOKE ALL ON FUNCTION pgtrigger_archived_keys_on_insert_11aed() FROM PUBLIC;
CREATE OR REPLACE  TRIGGER pgtrigger_archived_keys_on_insert_11aed
    AFTER INSERT ON "feature_usage_events"
     REFERENCING NEW TABLE AS new_values 
    FOR EACH STATEMENT 
    EXECUTE FUNCTION pgtrigger_archived_keys_on_insert_11aed();
COMMENT ON TRIGGER pgtrigger_archived_keys_on_insert_11aed ON "feature_usage_events" IS 'a86b9f4303de069e3e07f06f171e5ba8efe98034';
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
-- Functions that move old months out of the ledger. The command of the same purpose commits each
-- batch; archive_old_feature_usage does all of them in one call. Both use these.

-- Whatever is there under this name may return something else. (One that deletes was handed out.)
DROP FUNCTION IF EXISTS public.archive_old_feature_usage();


-- The event for which a user has used an idempotency key, in the ledger or in the archive; NULL
-- where the key is free. One statement: a key that is being moved is seen in one of the two places.
CREATE OR REPLACE FUNCTION public.find_usage_event(user_id integer, idempotency_key text)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    RETURN (SELECT event.id
              FROM public.feature_usage_events AS event
             WHERE event.user_id = find_usage_event.user_id
               AND event.idempotency_key = find_usage_event.idempotency_key
            UNION ALL
            SELECT used.event_id
              FROM public.feature_usage_archived_keys AS used
             WHERE used.user_id = find_usage_event.user_id
               AND used.idempotency_key = find_usage_event.idempotency_key
             LIMIT 1);
END
$function$;


-- Keep that a run has begun, and return its number. Whoever calls it holds the lock that keeps
-- others out: a run that seems to go on was killed.
CREATE OR REPLACE FUNCTION public.begin_usage_archive(before date, host text, process integer)
RETURNS bigint
LANGUAGE plpgsql
AS $function$
DECLARE
    run bigint;
BEGIN
    UPDATE public.feature_usage_archive_runs
       SET state = 'killed', ended_at = clock_timestamp()
     WHERE state = 'running';
    INSERT INTO public.feature_usage_archive_runs (before, host, process)
    VALUES (begin_usage_archive.before, begin_usage_archive.host, begin_usage_archive.process)
    RETURNING id INTO run;
    RETURN run;
END
$function$;


-- Keep how a run has ended: 'complete', or 'failed' with the error.
CREATE OR REPLACE FUNCTION public.end_usage_archive(run bigint, state text, error text)
RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    UPDATE public.feature_usage_archive_runs
       SET state = end_usage_archive.state,
           error = end_usage_archive.error,
           ended_at = clock_timestamp()
     WHERE id = end_usage_archive.run;
END
$function$;


-- What is to be archived: months that began before a day, in batches of so many rows. The index on
-- period_start leads to them: months that stay are not read.
CREATE OR REPLACE FUNCTION public.list_usage_batches(before date, batch_size integer)
RETURNS TABLE (period_start date, ids integer[])
LANGUAGE plpgsql
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT month.period_start, array_agg(month.id ORDER BY month.id)
      FROM (SELECT counted.period_start, counted.id,
                   (row_number() OVER (PARTITION BY counted.period_start ORDER BY counted.id) - 1)
                       / list_usage_batches.batch_size AS batch
              FROM public.feature_usage AS counted
             WHERE counted.period_start < list_usage_batches.before) AS month
     GROUP BY month.period_start, month.batch
     ORDER BY month.period_start, month.batch;
END
$function$;


-- What rows of feature_usage hold, and their events: sums for each month and feature. Rows without
-- a user have no events.
CREATE OR REPLACE FUNCTION public.total_live_usage(ids integer[])
RETURNS TABLE (period_start date, feature varchar, row_count bigint, uses numeric,
               uses_of_users numeric, event_count numeric, quantity numeric)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_custom_plan
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT month.period_start, month.feature, count(*),
           coalesce(sum(month.usage_count), 0)::numeric,
           coalesce(sum(month.usage_count) FILTER (WHERE month.user_id IS NOT NULL), 0)::numeric,
           sum(counted.events), sum(counted.quantity)
      FROM public.feature_usage AS month
     CROSS JOIN LATERAL (SELECT count(*), coalesce(sum(event.quantity), 0)
                           FROM public.feature_usage_events AS event
                          WHERE event.user_id = month.user_id
                            AND event.feature = month.feature
                            AND event.period_start = month.period_start)
           AS counted (events, quantity)
     WHERE month.id = ANY (ids)
     GROUP BY month.period_start, month.feature;
END
$function$;


-- The same of archived rows. The arrays hold a row each in the same place: its id and its key.
CREATE OR REPLACE FUNCTION public.total_archived_usage(
    ids integer[], users integer[], features varchar[], months date[]
) RETURNS TABLE (period_start date, feature varchar, row_count bigint, uses numeric,
                 event_count numeric, quantity numeric)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_custom_plan
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT month.period_start, month.feature, count(*),
           coalesce(sum(month.usage_count), 0)::numeric,
           sum(counted.events), sum(counted.quantity)
      FROM unnest(ids, users, features, months) AS key (id, user_id, feature, period_start)
     CROSS JOIN LATERAL (SELECT kept.user_id, kept.feature, kept.period_start, kept.usage_count
                           FROM public.feature_usage_archive AS kept
                          WHERE kept.user_id = key.user_id
                            AND kept.feature = key.feature
                            AND kept.period_start = key.period_start
                         UNION ALL
                         SELECT kept.user_id, kept.feature, kept.period_start, kept.usage_count
                           FROM public.feature_usage_archive AS kept
                          WHERE kept.user_id IS NULL
                            AND kept.id = key.id) AS month
     CROSS JOIN LATERAL (SELECT count(*), coalesce(sum(event.quantity), 0)
                           FROM public.feature_usage_events_archive AS event
                          WHERE event.user_id = month.user_id
                            AND event.feature = month.feature
                            AND event.period_start = month.period_start)
           AS counted (events, quantity)
     GROUP BY month.period_start, month.feature;
END
$function$;


-- Move rows of months that began before a day, with their events, and prove it. A row that is
-- archived already is added to: a late event has made its month anew.
--
-- Locking and moving are two statements: the second sees what was committed while the first waited.
-- Others who count in such a month wait for the row's lock, find no row afterwards and make one.
--
-- The settings: a batch is reached by its keys, and its triggers with it, also where tables have no
-- statistics because they have just been filled. Nothing here reads a table from end to end.
CREATE OR REPLACE FUNCTION public.archive_usage_batch(run bigint, before date, ids integer[])
RETURNS TABLE (rows_moved bigint, events_moved bigint)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_custom_plan
AS $function$
#variable_conflict use_column
DECLARE
    this_month CONSTANT date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
    locked     integer[];
    users      integer[];
    features   varchar[];
    starts     date[];
    expected   jsonb;
    moved      jsonb;
    wrong      text;
BEGIN
    IF before >= this_month THEN
        RAISE EXCEPTION 'months before % would be archived, and % is not over', before, this_month
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give the first day of a month that is over.';
    END IF;

    -- In the order in which the counting triggers lock.
    SELECT array_agg(month.id), array_agg(month.user_id), array_agg(month.feature),
           array_agg(month.period_start)
      INTO locked, users, features, starts
      FROM (SELECT counted.id, counted.user_id, counted.feature, counted.period_start
              FROM public.feature_usage AS counted
             WHERE counted.id = ANY (archive_usage_batch.ids)
               AND counted.period_start < before
             ORDER BY counted.user_id, counted.feature, counted.period_start, counted.id
               FOR UPDATE) AS month;
    IF locked IS NULL THEN
        RETURN QUERY SELECT 0::bigint, 0::bigint;
        RETURN;
    END IF;

    SELECT jsonb_agg(jsonb_build_array(live.period_start, live.feature, live.row_count,
                                       live.uses + coalesce(kept.uses, 0),
                                       live.event_count + coalesce(kept.event_count, 0),
                                       live.quantity + coalesce(kept.quantity, 0))
                     ORDER BY live.period_start, live.feature),
           min(format('%s of %s holds %s uses, its events say %s', live.feature,
                      to_char(live.period_start, 'YYYY-MM'), live.uses_of_users, live.quantity))
               FILTER (WHERE live.uses_of_users <> live.quantity),
           sum(live.event_count)
      INTO expected, wrong, events_moved
      FROM public.total_live_usage(locked) AS live
      LEFT JOIN public.total_archived_usage(locked, users, features, starts) AS kept
             ON (kept.period_start, kept.feature) = (live.period_start, live.feature);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'nothing of this batch was archived: %', wrong
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Run manage.py repair_counters, then this again.';
    END IF;

    WITH gone_rows AS (
        DELETE FROM public.feature_usage AS month
         WHERE month.id = ANY (locked)
        RETURNING month.*
    ), gone_events AS (
        DELETE FROM public.feature_usage_events AS event
         USING unnest(users, features, starts) AS key (user_id, feature, period_start)
         WHERE event.user_id = key.user_id
           AND event.feature = key.feature
           AND event.period_start = key.period_start
        RETURNING event.*
    ), used_keys AS (
        INSERT INTO public.feature_usage_archived_keys (user_id, idempotency_key, event_id)
        SELECT gone.user_id, gone.idempotency_key, gone.id
          FROM gone_events AS gone
         WHERE gone.idempotency_key IS NOT NULL
            ON CONFLICT DO NOTHING  -- used twice while the triggers were off: the first one counts
    ), kept_events AS (
        INSERT INTO public.feature_usage_events_archive
            (id, user_id, feature, quantity, occurred_at, recorded_at, idempotency_key, source,
             reason, adopted, adopted_period, period_start, archived_at, run_id)
        SELECT gone.id, gone.user_id, gone.feature, gone.quantity, gone.occurred_at,
               gone.recorded_at, gone.idempotency_key, gone.source, gone.reason, gone.adopted,
               gone.adopted_period, gone.period_start, now(), run
          FROM gone_events AS gone
    )
    INSERT INTO public.feature_usage_archive AS kept
        (id, user_id, feature, usage_count, period_start, period_end, created_at, updated_at,
         archived_at, run_id)
    SELECT gone.id, gone.user_id, gone.feature, gone.usage_count, gone.period_start,
           gone.period_end, gone.created_at, gone.updated_at, now(), run
      FROM gone_rows AS gone
        ON CONFLICT (user_id, feature, period_start) DO UPDATE
       SET usage_count = coalesce(kept.usage_count, 0) + coalesce(excluded.usage_count, 0),
           updated_at = greatest(kept.updated_at, excluded.updated_at),
           archived_at = excluded.archived_at,
           run_id = excluded.run_id;

    SELECT jsonb_agg(jsonb_build_array(kept.period_start, kept.feature, kept.row_count, kept.uses,
                                       kept.event_count, kept.quantity)
                     ORDER BY kept.period_start, kept.feature)
      INTO moved
      FROM public.total_archived_usage(locked, users, features, starts) AS kept;
    IF moved IS DISTINCT FROM expected
       OR EXISTS (SELECT FROM public.feature_usage AS month WHERE month.id = ANY (locked)) THEN
        RAISE EXCEPTION 'run %: what was to be archived and what the archive holds now differ', run
            USING ERRCODE = 'integrity_constraint_violation',
                  DETAIL = format('month, feature, rows, uses, events, quantity. To be archived, '
                                  'what was there included: %s. Archived: %s.', expected, moved),
                  HINT = 'A trigger of others has kept rows back, or changed them on their way.';
    END IF;

    rows_moved := cardinality(locked);
    UPDATE public.feature_usage_archive_runs AS known
       SET batches = known.batches + 1,
           rows_moved = known.rows_moved + archive_usage_batch.rows_moved,
           events_moved = known.events_moved + archive_usage_batch.events_moved,
           months = ARRAY(SELECT DISTINCT month
                            FROM unnest(known.months || starts) AS month
                           ORDER BY month)
     WHERE known.id = run;
    RETURN NEXT;
END
$function$;


-- Move the months that began more than six months before this one, and return how many rows of
-- feature_usage that were. All in the caller's transaction: nothing is moved where it fails.
CREATE FUNCTION public.archive_old_feature_usage()
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
DECLARE
    before     CONSTANT date :=
        (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '6 months')::date;
    batch_size CONSTANT integer := 1000;  -- that of the command
    run        bigint;
    batch      record;
    total      integer := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sentinel.archive', 0)) THEN
        RAISE EXCEPTION 'another run of the archive is at work'
            USING ERRCODE = 'object_in_use', HINT = 'Wait for it to end.';
    END IF;
    run := public.begin_usage_archive(before, NULL, NULL);
    FOR batch IN SELECT listed.ids FROM public.list_usage_batches(before, batch_size) AS listed LOOP
        total := total + (SELECT done.rows_moved
                            FROM public.archive_usage_batch(run, before, batch.ids) AS done);
    END LOOP;
    PERFORM public.end_usage_archive(run, 'complete', NULL);
    RETURN total;
END
$function$;


-- Who may execute them: nobody but their owner; archive_old_feature_usage also whoever may delete
-- rows of feature_usage anyway.
DO $$
DECLARE
    function regprocedure;
    grantee  text;
BEGIN
    FOR function IN
        SELECT oid::regprocedure
          FROM pg_catalog.pg_proc
         WHERE pronamespace = 'public'::regnamespace
           AND proname IN ('begin_usage_archive', 'end_usage_archive', 'list_usage_batches',
                           'total_live_usage', 'total_archived_usage', 'archive_usage_batch',
                           'archive_old_feature_usage')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
    FOR grantee IN
        SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                             ELSE held.grantee::regrole::text END
          FROM pg_catalog.pg_class
         CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
         WHERE oid = 'public.feature_usage'::regclass
           AND held.privilege_type = 'DELETE'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.archive_old_feature_usage() TO %s', grantee);
    END LOOP;
END
$$;
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
-- How features were used in this month and the three before it, as of the last refresh. Of ledger
-- and archive together: what is archived meanwhile stays in the sums. Filled here and now, so that
-- REFRESH … CONCURRENTLY works from the start.
DROP MATERIALIZED VIEW IF EXISTS public.feature_usage_summary;

CREATE MATERIALIZED VIEW public.feature_usage_summary AS
SELECT used.feature,
       used.period_start,
       count(*)                                                   AS unique_users,
       sum(used.usage_count)::bigint                              AS total_usage,
       round(avg(used.usage_count), 2)                            AS avg_usage_per_user,
       max(used.usage_count)::bigint                              AS max_usage,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY used.usage_count::double precision)
                                                                  AS median_usage
  FROM (SELECT known.user_id, known.feature, known.period_start,
               sum(coalesce(known.usage_count, 0)) AS usage_count
          FROM (SELECT live.user_id, live.feature, live.period_start, live.usage_count
                  FROM public.feature_usage AS live
                UNION ALL
                SELECT kept.user_id, kept.feature, kept.period_start, kept.usage_count
                  FROM public.feature_usage_archive AS kept) AS known
         WHERE known.user_id IS NOT NULL
           AND known.period_start >=
               (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '3 months')::date
           AND known.period_start <= date_trunc('month', now() AT TIME ZONE 'UTC')::date
         GROUP BY known.user_id, known.feature, known.period_start) AS used
 GROUP BY used.feature, used.period_start;

-- Nobody knows the view yet.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX feature_usage_summary_key
    ON public.feature_usage_summary (feature, period_start);

-- Whoever may read the months may read what is made of them.
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                             ELSE held.grantee::regrole::text END
          FROM pg_catalog.pg_class
         CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
         WHERE oid = 'public.feature_usage'::regclass
           AND held.privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT ON public.feature_usage_summary TO %s', grantee);
    END LOOP;
END
$$;
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


-- usage.0005_reporting ------------------------------------------------------------------------------
\echo 'usage.0005_reporting'

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
-- What the reports read beside the months: uses and users by day, and what was refused. All of it is
-- small, whatever the size of the ledger. The tables are kept when the app is taken out again, so
-- they may be there already.


-- Uses on each day of a month, by feature and plan: counted anew by count_feature_usage_days.
CREATE TABLE IF NOT EXISTS feature_usage_days (
    period_start date NOT NULL,
    day          date NOT NULL,
    feature      varchar(50) NOT NULL,
    plan         text,  -- of the day on which it was counted; NULL: the account is gone
    uses         bigint NOT NULL,

    CONSTRAINT feature_usage_days_key
        UNIQUE NULLS NOT DISTINCT (period_start, day, feature, plan)
);

-- How many users came to something on a day of a month, each of them once: summed up to a day, it
-- is how many there were by then.
CREATE TABLE IF NOT EXISTS feature_usage_user_days (
    period_start date NOT NULL,
    day          date NOT NULL,
    plan         text,
    new_users    integer NOT NULL,  -- used something for the first time in the month
    came_near    integer NOT NULL,  -- had used 80 % of one of their limits for the first time
    came_to      integer NOT NULL,  -- had used all of one of their limits for the first time

    CONSTRAINT feature_usage_user_days_key
        UNIQUE NULLS NOT DISTINCT (period_start, day, plan)
);

-- Which months were counted, and when: one without a row here is not known, one with it and without
-- days had no uses.
CREATE TABLE IF NOT EXISTS feature_usage_counted_months (
    period_start date PRIMARY KEY,
    counted_at   timestamptz NOT NULL
);

-- Uses that a plan did not admit. No foreign key: like the archive, it names nobody any more when an
-- account is deleted, and a flood of refusals locks no user's row.
CREATE TABLE IF NOT EXISTS feature_usage_refusals (
    id       bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    day      date NOT NULL,  -- in UTC
    user_id  integer NOT NULL,
    feature  varchar(50) NOT NULL,
    plan     text NOT NULL,  -- the user's at that moment
    refusals bigint NOT NULL,
    last_at  timestamptz NOT NULL,

    CONSTRAINT feature_usage_refusals_key UNIQUE (user_id, day, feature, plan)
);

CREATE INDEX IF NOT EXISTS idx_feature_usage_refusals_day
    ON feature_usage_refusals (day);
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


-- build index idx_usage_events_period_brin
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass('idx_usage_events_period_brin') AND NOT indisvalid
\gexec

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_usage_events_period_brin
    ON feature_usage_events USING brin (period_start) WITH (autosummarize = on, pages_per_range = 32);


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
-- Count the days of a month anew: uses by feature and plan, and the users who came to something.
--
-- It reads the month's events, by the block range index on their month and by the archive's index,
-- and nothing else of the ledger. An event counts on the day on which it occurred, and an adopted one,
-- which may have been written long after its month, on the month's day that is closest to it. Plans
-- and limits are those of `moment`.
--
-- Who used something is who has more uses than were given back; who has fallen below a limit by what
-- was given back has not come to it.
CREATE OR REPLACE FUNCTION public.count_feature_usage_days(
    month  date,
    moment timestamptz DEFAULT now()
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $function$
DECLARE
    first_day  CONSTANT date := date_trunc('month', count_feature_usage_days.month)::date;
    next_month CONSTANT date := (first_day + interval '1 month')::date;
BEGIN
    -- One after the other: two that fill the same month would meet at its keys.
    PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.usage_days', 0));

    DELETE FROM public.feature_usage_days AS known WHERE known.period_start = first_day;
    DELETE FROM public.feature_usage_user_days AS known WHERE known.period_start = first_day;

    WITH dated AS MATERIALIZED (
        SELECT event.user_id, event.feature,
               least(greatest((event.occurred_at AT TIME ZONE 'UTC')::date, first_day),
                     next_month - 1) AS day,
               sum(event.quantity) AS uses
          FROM (SELECT live.user_id, live.feature, live.occurred_at, live.quantity
                  FROM public.feature_usage_events AS live
                 WHERE live.period_start >= first_day AND live.period_start < next_month
                UNION ALL
                SELECT kept.user_id, kept.feature, kept.occurred_at, kept.quantity
                  FROM public.feature_usage_events_archive AS kept
                 WHERE kept.period_start >= first_day AND kept.period_start < next_month) AS event
         GROUP BY event.user_id, event.feature, 3
    ), member AS MATERIALIZED (
        SELECT users.id,
               CASE WHEN users.is_trial AND users.trial_ends_at <= moment AT TIME ZONE 'UTC'
                    THEN 'FREE'
                    ELSE coalesce(users.plan, 'FREE')
               END AS plan
          FROM public.users
    ), days AS (
        INSERT INTO public.feature_usage_days (period_start, day, feature, plan, uses)
        SELECT first_day, dated.day, dated.feature, member.plan, sum(dated.uses)
          FROM dated
          LEFT JOIN member ON member.id = dated.user_id
         GROUP BY dated.day, dated.feature, member.plan
    ), running AS (
        SELECT dated.user_id, dated.feature, dated.day, dated.uses,
               sum(dated.uses) OVER (uses_of_a_user ORDER BY dated.day) AS so_far,
               sum(dated.uses) OVER uses_of_a_user AS in_all
          FROM dated
        WINDOW uses_of_a_user AS (PARTITION BY dated.user_id, dated.feature)
    ), came AS (
        SELECT member.plan,
               min(running.day) FILTER (WHERE running.uses > 0 AND running.in_all > 0) AS to_use,
               min(running.day) FILTER (WHERE running.so_far * 100 >= allowed.usage_limit * 80
                                          AND running.in_all * 100 >= allowed.usage_limit * 80)
                   AS near_limit,
               min(running.day) FILTER (WHERE running.so_far >= allowed.usage_limit
                                          AND running.in_all >= allowed.usage_limit) AS to_limit
          FROM running
          LEFT JOIN member ON member.id = running.user_id
          LEFT JOIN public.feature_plan_limits AS usual
            ON usual.plan = member.plan AND usual.feature = running.feature
          LEFT JOIN public.feature_limit_overrides AS special
            ON special.user_id = member.id AND special.feature = running.feature
           AND (special.until IS NULL OR special.until > moment)
         CROSS JOIN LATERAL (
            SELECT CASE WHEN coalesce(special.per, usual.per) = 'month'
                        THEN nullif(CASE WHEN special.id IS NULL THEN usual.usage_limit
                                         ELSE special.usage_limit END, 0)::bigint
                   END AS usage_limit
         ) AS allowed
         GROUP BY running.user_id, member.plan
    )
    INSERT INTO public.feature_usage_user_days
        (period_start, day, plan, new_users, came_near, came_to)
    SELECT first_day, step.day, came.plan, sum(step.new_users), sum(step.near), sum(step.at)
      FROM came
     CROSS JOIN LATERAL (VALUES (came.to_use, 1, 0, 0),
                                (came.near_limit, 0, 1, 0),
                                (came.to_limit, 0, 0, 1)) AS step (day, new_users, near, at)
     WHERE step.day IS NOT NULL
     GROUP BY step.day, came.plan;

    INSERT INTO public.feature_usage_counted_months AS known (period_start, counted_at)
    VALUES (first_day, moment)
        ON CONFLICT (period_start) DO UPDATE SET counted_at = excluded.counted_at;
END
$function$;

-- It is its owner's, who refreshes the summary.
REVOKE ALL ON FUNCTION public.count_feature_usage_days(date, timestamptz) FROM PUBLIC;


-- Every month that there is, once. Afterwards manage.py refresh_usage_summary counts this month and
-- the last.
DO $$
BEGIN
    PERFORM public.count_feature_usage_days(used.month)
       FROM (SELECT date_trunc('month', live.period_start)::date AS month
               FROM public.feature_usage AS live
              UNION
             SELECT date_trunc('month', kept.period_start)::date
               FROM public.feature_usage_archive AS kept) AS used;
END
$$;
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
SELECT pg_catalog.jsonb_build_array("user_id", "feature", "period_start") AS key,
       ARRAY[kept.stored]::bigint[] AS stored,
       coalesce(summed.actual, 0)::bigint AS actual
  FROM (SELECT "user_id", "feature", "period_start", "usage_count" AS stored
          FROM "public"."feature_usage"
         WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL) AS kept
  FULL JOIN (SELECT "user_id", "feature", "period_start", sum("quantity") AS actual
               FROM "public"."feature_usage_events"
              WHERE "user_id" IS NOT NULL AND "feature" IS NOT NULL AND "period_start" IS NOT NULL
              GROUP BY "user_id", "feature", "period_start") AS summed
 USING ("user_id", "feature", "period_start")
           ) AS compared;
    RAISE NOTICE 'audit of feature_usage.usage_count: % rows, % mismatches', checked, drifted;
    IF drifted > 0 THEN
        RAISE EXCEPTION 'feature_usage.usage_count: % of % rows are not what they should be', drifted, checked
            USING ERRCODE = 'data_exception',
                  HINT = 'Somebody writes with the triggers switched off. Run the file again, '
                         'or manage.py repair_counters.';
    END IF;
END
$audit$;
