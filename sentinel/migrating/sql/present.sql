-- What is there already, and what is done where something is missing.


-- name: index_state
-- 'valid', 'invalid' (a build that failed has left it behind) or 'missing'.
SELECT coalesce(
           (SELECT CASE WHEN built.indisvalid THEN 'valid' ELSE 'invalid' END
              FROM pg_index AS built
             WHERE built.indexrelid = to_regclass(%s)),
           'missing')


-- name: constraint_state
-- 'valid', 'missing', or the name of one that was never checked. An index that makes the columns
-- unique is as good as the constraint, unless it bears its name: then it was built for it, and is to
-- become it.
SELECT coalesce(
           (SELECT CASE WHEN bool_or(known.convalidated) THEN 'valid' ELSE min(quote_ident(known.conname)) END
              FROM pg_constraint AS known
             WHERE known.conrelid = to_regclass(%(table)s)
               AND known.contype = %(kind)s::"char"
               AND (SELECT array_agg(named.attname::text ORDER BY named.attname)
                      FROM pg_attribute AS named
                     WHERE named.attrelid = known.conrelid
                       AND named.attnum = ANY (known.conkey))
                   = (SELECT array_agg(wanted ORDER BY wanted)
                        FROM unnest(%(columns)s::text[]) AS wanted)
            HAVING count(*) > 0),
           (SELECT 'valid'
              FROM pg_index AS built
             WHERE %(kind)s = 'u'
               AND built.indrelid = to_regclass(%(table)s)
               AND built.indisunique
               AND built.indisvalid
               AND built.indpred IS NULL
               AND built.indexprs IS NULL
               AND built.indexrelid IS DISTINCT FROM to_regclass(%(name)s)
               AND (SELECT array_agg(named.attname::text ORDER BY named.attname)
                      FROM pg_attribute AS named
                     WHERE named.attrelid = built.indrelid
                       AND named.attnum = ANY (built.indkey::int2[]))
                   = (SELECT array_agg(wanted ORDER BY wanted)
                        FROM unnest(%(columns)s::text[]) AS wanted)
             LIMIT 1),
           'missing')


-- name: require_value
-- Each statement a transaction of its own. Repeated after a failure, it goes on.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = '{table}'::regclass AND attname = '{column}' AND NOT atthasdef
                  AND '{default}' <> 'NULL') THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {default};
        COMMIT;
    END IF;

    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = '{table}'::regclass AND attname = '{column}' AND NOT attnotnull) THEN
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE {table}
            DROP CONSTRAINT IF EXISTS {table}_{column}_not_null,
            ADD CONSTRAINT {table}_{column}_not_null CHECK ({column} IS NOT NULL) NOT VALID;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE {table} VALIDATE CONSTRAINT {table}_{column}_not_null;
        COMMIT;
        PERFORM set_config('lock_timeout', '500ms', true);
        ALTER TABLE {table}
            ALTER COLUMN {column} SET NOT NULL,
            DROP CONSTRAINT {table}_{column}_not_null;
        COMMIT;
    END IF;
END
$$
