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
