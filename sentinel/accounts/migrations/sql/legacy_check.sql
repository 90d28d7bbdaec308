-- What the first migration of every app runs before its own script.
--
-- That script says what it expects by filling expected_columns, and then calls
-- pg_temp.refuse_contradictions(), which either finds nothing or raises one error that names
-- everything. The other functions answer whether a thing is missing, so that the script touches
-- only what is: even an ALTER TABLE ... IF NOT EXISTS that changes nothing takes its lock first.
-- On a complete database the whole migration therefore takes no lock that anybody waits for.
--
-- All of it is temporary: the table goes at the end of the transaction, the functions with the
-- session.

-- Where something is missing and a table is busy, give up and leave everything as it was, instead
-- of letting every reader and writer queue behind us. Half a second is less than deadlock_timeout,
-- so in a deadlock with a live writer it is the migration that loses. Run it again.
SET LOCAL lock_timeout = '500ms';

DROP TABLE IF EXISTS pg_temp.expected_columns;

CREATE TEMPORARY TABLE expected_columns (
    table_name  text NOT NULL,
    column_name text NOT NULL,
    type        text NOT NULL,  -- as format_type() writes it
    rule        text,           -- 'key':      the primary key
                                -- 'required': NOT NULL without a default, so that it cannot be
                                --             added to a table that has rows
    parent      text,           -- a foreign key to this table, ON DELETE CASCADE
    PRIMARY KEY (table_name, column_name)
) ON COMMIT DROP;


-- Does the table lack any of the columns that are expected of it?
CREATE OR REPLACE FUNCTION pg_temp.lacks_columns(of_table text) RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_temp.expected_columns AS expected
         WHERE expected.table_name = of_table
           AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = to_regclass(quote_ident(of_table))
                  AND a.attname = expected.column_name
                  AND NOT a.attisdropped
           )
    )
$function$;


-- Is there a constraint of this kind (pg_constraint.contype) on exactly this column?
CREATE OR REPLACE FUNCTION pg_temp.has_constraint(on_table text, on_column text, kind "char")
RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_constraint AS c
          JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
         WHERE c.conrelid = to_regclass(quote_ident(on_table))
           AND c.contype = kind
           AND a.attname = on_column
    )
$function$;


-- Is the column unique, by a constraint or by an index that covers every row?
CREATE OR REPLACE FUNCTION pg_temp.is_unique(on_table text, on_column text) RETURNS boolean
LANGUAGE sql AS $function$
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
          JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = to_regclass(quote_ident(on_table))
           AND i.indisunique
           AND i.indisvalid
           AND i.indnkeyatts = 1
           AND i.indpred IS NULL
           AND a.attname = on_column
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
