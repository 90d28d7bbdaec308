-- Queries of the repair. Words in braces are filled in with quoted identifiers and literals.
--
-- What all of them keep to:
--   * keys travel as a JSON array, whatever their type, and come back as JSON;
--   * a transaction locks, and compares and writes in later statements: the snapshot of these is
--     taken when the locks are held, and so sees what everybody before us has committed;
--   * the truth is written by the guard in the place of a NULL, which the column's NOT NULL refuses
--     where the guard is missing; or, where it takes the guard a query for each row, by the
--     statement that has counted all of them: `sentinel.engine` tells the guard so.


-- name: keys_among
-- The keys of a JSON array as an array of the column's own type: computed once, then looked up in
-- the index of the key.
ARRAY(SELECT (given.key #>> '{{}}')::{key_type} FROM jsonb_array_elements({keys}) AS given (key))


-- name: find_batches
-- The keys of all rows in drift, in the order of the keys, cut into batches: one row a batch. One
-- comparison of the whole table is made, not one a batch; the keys are small enough to be kept.
SELECT jsonb_agg(drifting.key ORDER BY drifting.place) AS keys, count(*) AS rows
  FROM (SELECT to_jsonb(key) AS key, row_number() OVER (ORDER BY key) - 1 AS place
          FROM ({comparison}) AS compared
         WHERE {differs}) AS drifting
 GROUP BY drifting.place / {batch_size}
 ORDER BY drifting.place / {batch_size}


-- name: lock_batch
-- The keys of the rows that were locked, a JSON array, are the batch from now on.
SELECT set_config('sentinel.batch', coalesce(jsonb_agg(locked.key), '[]')::text, true)
  FROM ({lock_parents}) AS locked (key)


-- name: repair_batch
-- The rows of a batch, which are locked: those that are wrong are rewritten, and those of them that
-- came out right are recorded, with what they were and are; what a killed run has done can be read
-- from its row. Returns how many these are, and the keys of the others. All of it is one statement: a
-- row that leaves the server and comes back costs more than its repair.
WITH wrong AS MATERIALIZED (
        SELECT key, stored, actual
          FROM ({comparison}) AS compared
         WHERE {differs}),
     rewritten (key, stored) AS (
        {rewrite}
        RETURNING {row_key}, ARRAY[{stored}]::bigint[]),
     came AS MATERIALIZED (
        SELECT to_jsonb(wrong.key) AS key, wrong.stored AS before, rewritten.stored AS after,
               rewritten.stored = array_fill(wrong.actual, ARRAY[cardinality(wrong.stored)]) AS is_right
          FROM wrong
          LEFT JOIN rewritten ON rewritten.key = wrong.key),
     recorded AS (
        INSERT INTO {schema}.counter_repairs (run_id, counter, key, before, after, repaired_at)
        SELECT {run}, {name}, came.key, {before}, {after}, statement_timestamp()
          FROM came
         WHERE came.is_right
         ORDER BY came.key),
     counted AS (
        UPDATE {schema}.counter_repair_runs
           SET batches = batches + 1,
               rows_repaired = rows_repaired + (SELECT count(*) FROM came WHERE is_right)
         WHERE id = {run})
SELECT count(*) FILTER (WHERE is_right),
       coalesce(jsonb_agg(key ORDER BY key) FILTER (WHERE is_right IS NOT TRUE), '[]')::text
  FROM came


-- name: find_wrong
-- The keys of rows that are wrong, as a JSON array.
SELECT coalesce(jsonb_agg(key ORDER BY key), '[]')::text
  FROM ({comparison}) AS compared
 WHERE {differs}


-- name: set_for_transaction
-- Settings and their values, a JSON object; and that this transaction writes as the engine does.
SELECT set_config(given.name, given.value, true)
  FROM (SELECT name, value FROM jsonb_each_text(%s::jsonb) AS settings (name, value)
         UNION ALL
        SELECT 'sentinel.engine', pg_current_xact_id()::text) AS given (name, value)


-- name: count_rows
-- How many rows a comparison has.
SELECT count(*) FROM ({comparison}) AS compared


-- name: lock_parents
-- In the order of the keys, as the triggers do, and with their lock: foreign-key checks go on.
SELECT to_jsonb({parent}.{key})
  FROM {schema}.{parent}
 WHERE {parent}.{key} = ANY ({keys})
 ORDER BY {parent}.{key}
   FOR NO KEY UPDATE{skip_locked}


-- name: restore
-- What was counted, into the counter and its mirrors.
UPDATE {schema}.{parent}
   SET {set_actual}
  FROM wrong
 WHERE {parent}.{key} = wrong.key


-- name: rewrite
-- The triggers put the truth in the place of the NULL, into the mirrors too.
UPDATE {schema}.{parent}
   SET {column} = NULL
 WHERE {parent}.{key} = ANY ({keys})


-- name: backfill
-- The repair as one block for a migration. It is printed with the comments that follow.

-- Backfill of {title}.
--
-- The rows that differ are found in one statement and repaired {size} at a time, in the order of
-- their keys. Each batch is a transaction of its own: lock those that nobody holds, then write NULL.
-- The guard never lets a NULL through: it stores the truth. Where it is missing the column's NOT NULL
-- refuses the statement, so that nothing wrong can be written. Rows that somebody holds come last, one
-- by one, so that nobody waits for a batch that itself waits for somebody. Rows that are right already
-- are not touched.
--
-- It commits, so the migration needs `atomic = False`. Stopped half-way, it is run again.
DO $backfill$
#variable_conflict use_column
<<backfill>>
DECLARE
    most_waits CONSTANT integer := 120;  -- of half a second: a minute for those that are held
    batch      record;
    free       jsonb;
    held       jsonb := '[]';
    waits      integer := 0;
BEGIN
    FOR batch IN
{find_batches}
    LOOP
{add_missing_parents}        {settings}
        free := (SELECT coalesce(jsonb_agg(locked.key), '[]') FROM (
{lock_free_parents}
        ) AS locked (key));
{rewrite};
        held := held || (
            SELECT coalesce(jsonb_agg(wanted.key), '[]')
              FROM jsonb_array_elements(batch.keys) AS wanted (key)
             WHERE wanted.key NOT IN (SELECT locked.key
                                        FROM jsonb_array_elements(backfill.free) AS locked (key)));
        COMMIT;
    END LOOP;

    WHILE jsonb_array_length(held) > 0 LOOP
        free := jsonb_build_array(held -> 0);
        held := held - 0;
        BEGIN
            PERFORM set_config('lock_timeout', '500ms', true);
            {settings}
            PERFORM FROM (
{lock_parents}
            ) AS locked;
{rewrite};
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            held := held || free;
            waits := waits + 1;
            IF waits = most_waits THEN
                RAISE EXCEPTION 'rows are held by others for too long: %', held
                    USING ERRCODE = 'object_in_use',
                          HINT = 'Let their transactions end, then run this again.';
            END IF;
        END;
        COMMIT;
    END LOOP;
END
$backfill$
