-- Bodies of the triggers that keep a sum over a ledger, and its audit. See triggers.sql for what
-- all trigger functions keep to. Three things are different here:
--   * a row of the parent is known by several columns, and is created by its first event;
--   * others write the sum as well, and what they write counts: the difference is appended to the
--     ledger as an adopted event, by the engine, whose writes no trigger here counts again;
--   * a row and its events live and die together. While rows are deleted in a transaction the engine
--     counts again instead of adding: see delete_events;
--   * a key is looked up as a sub-select: where the planner sees a value of which its statistics know
--     little (a month that has just begun), it takes an index on that column alone for as good as the key.


-- name: gather_added
-- The events of one INSERT or COPY: one sum a row of the parent.
    SELECT {gathered}, pg_catalog.array_agg(change.delta)
      INTO {changed}, deltas
      FROM (SELECT {keys}, pg_catalog.sum({quantity}) AS delta
              FROM new_values
             GROUP BY {keys}) AS change;


-- name: gather_removed
-- The events of one DELETE, likewise.
    SELECT {gathered}, pg_catalog.array_agg(change.delta)
      INTO {changed}, deltas
      FROM (SELECT {keys}, -pg_catalog.sum({quantity}) AS delta
              FROM old_values
             GROUP BY {keys}) AS change;


-- name: add_events
-- Brings the sums of new events to their rows, and creates rows for the first of them. One row that
-- is there, the common case, is updated at once. Of several the missing ones are created first, then
-- the others are locked, both in the order of the keys: two statements over the same rows wait for
-- each other in a line, not in a circle. A row that somebody else creates meanwhile is one of the
-- others; one that somebody else deletes meanwhile is missing in the next round.
{gather}
    IF deltas IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF pg_catalog.cardinality(deltas) = 1 AND NOT recounting THEN
        UPDATE {schema}.{parent}
           SET {column} = coalesce({parent}.{column}, 0) + deltas[1]{touches}
         WHERE {parent_is_only}
        RETURNING {returned_is_only} INTO same_key;
{refuse_moved}
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    FOR round IN 1 .. 5 LOOP
        WITH created AS (
            INSERT INTO {schema}.{parent} ({keys}, {created_columns}, {column})
            SELECT {keys}, {created_values}, change.delta
              FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
             WHERE change.delta >= 0
               AND NOT EXISTS (SELECT FROM {schema}.{parent} WHERE {parent_is_change})
             ORDER BY {keys}
                ON CONFLICT ({keys}) DO NOTHING
            RETURNING {keys}
        )
        SELECT {gathered}, pg_catalog.array_agg(change.delta)
          INTO {changed}, deltas
          FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
         WHERE NOT EXISTS (SELECT FROM created WHERE {created_is_change});
        EXIT WHEN deltas IS NULL;

{lock_changed}

        WITH updated AS (
            UPDATE {schema}.{parent}
               SET {column} = coalesce({parent}.{column}, 0) + change.delta{touches}
              FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
             WHERE {parent_is_change}
            RETURNING {parent_keys}, {parent_is_change} AS same_key
        )
        SELECT {gathered}, pg_catalog.array_agg(change.delta),
               (SELECT pg_catalog.bool_and(updated.same_key) FROM updated)
          INTO {changed}, deltas, same_key
          FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
         WHERE NOT EXISTS (SELECT FROM updated WHERE {updated_is_change});
{refuse_moved}
        EXIT WHEN deltas IS NULL;
    END LOOP;
    IF deltas IS NULL THEN
        IF recounting THEN
{gather}
{lock_changed}
{recount_changed}
        END IF;
        RETURN NULL;
    END IF;

    -- A sum that reaches no row would be lost in silence.
    IF EXISTS (SELECT FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
                WHERE change.delta < 0
                  AND NOT EXISTS (SELECT FROM {schema}.{parent} WHERE {parent_is_change})) THEN
        RAISE EXCEPTION 'counter %: there is nothing in % that a negative quantity could be '
                        'taken from', {name}, {parent_name}
            USING ERRCODE = 'check_violation',
                  HINT = 'A correction needs a row with the same key to correct.';
    END IF;
    RAISE EXCEPTION 'counter %: a trigger of % kept the sum from being written',
                    {name}, {parent_name}
        USING ERRCODE = 'triggered_action_exception',
              HINT = 'A BEFORE trigger returned NULL. Let it return NEW.';


-- name: remove_events
-- Takes the sums of deleted events from their rows. A row that is gone is not created again:
-- deleting a user would fail on the foreign key.
{gather}
    IF deltas IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
{lock_changed}
    IF recounting THEN
{recount_changed}
        RETURN NULL;
    END IF;
    WITH updated AS (
        UPDATE {schema}.{parent}
           SET {column} = coalesce({parent}.{column}, 0) + change.delta{touches}
          FROM unnest({changed_keys}, (SELECT deltas)) AS change ({keys}, delta)
         WHERE {parent_is_change}
        RETURNING {parent_is_change} AS same_key
    )
    SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
{refuse_moved}
    RETURN NULL;


-- name: zero_totals
-- TRUNCATE of the ledger leaves nothing to sum.
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    UPDATE {schema}.{parent}
       SET {column} = 0{touches}
     WHERE {has_key} AND {column} IS DISTINCT FROM 0;
    RETURN NULL;


-- name: refuse_change
-- An event happened, or did not.
    RAISE EXCEPTION 'an event of % cannot be changed', {child_name}
        USING ERRCODE = 'restrict_violation',
              HINT = 'Append another event that makes up for it, with its reason.';


-- name: refuse_moved
-- `guard_key` sees what writers name; what a trigger of others has made of the engine's own write is
-- seen here.
        IF NOT same_key THEN
            RAISE EXCEPTION 'counter %: a trigger of % has given a row another key',
                            {name}, {parent_name}
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE trigger changed NEW. Let it leave the key alone.';
        END IF;


-- name: lock_changed
-- In a statement of its own: the snapshot of the next one is taken when the locks are held.
        PERFORM FROM {schema}.{parent}
          WHERE ({parent_keys}) IN (SELECT {change_keys}
                                      FROM unnest({changed_keys}) AS change ({keys}))
          ORDER BY {parent_keys}
            FOR NO KEY UPDATE;


-- name: recount_changed
-- The sums of the changed keys anew. The rows are locked, or were inserted by this transaction.
        WITH updated AS (
            UPDATE {schema}.{parent}
               SET {column} = coalesce((SELECT pg_catalog.sum({child}.{quantity})
                                          FROM {schema}.{child}
                                         WHERE {child_is_change}), 0){touches}
              FROM unnest({changed_keys}) AS change ({keys})
             WHERE {parent_is_change}
            RETURNING {parent_is_change} AS same_key
        )
        SELECT pg_catalog.bool_and(updated.same_key) INTO same_key FROM updated;
{refuse_moved}


-- name: guard_row
-- Every write of others moves the timestamps too. NULL is no number of uses: it counts as 0. A repair
-- asks for the truth by whatever it writes: the row is locked by now, and a query in a volatile
-- function takes a fresh snapshot.
    IF pg_catalog.current_setting('sentinel.repair', true) = 'on' THEN
        IF {new_is_somebodys} THEN
            SELECT coalesce(pg_catalog.sum({quantity}), 0)
              INTO NEW.{column}
              FROM {schema}.{child}
             WHERE {child_is_new};
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.{column} IS NULL AND {new_is_somebodys} THEN
        NEW.{column} := 0;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        {new_touches}
    END IF;
    RETURN NEW;


-- name: adopt_rows
-- Rows that somebody else has inserted: what they hold was used, and becomes an event.
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    INSERT INTO {schema}.{child} ({adopted_columns}, {quantity})
    SELECT {adopted_values}, written.{column}
      FROM new_values AS written
     WHERE {has_key} AND written.{column} <> 0;
    IF pg_catalog.current_setting('sentinel.recount', true) = 'on' THEN
        -- Perhaps put into the place of rows that the same statement deleted: see delete_events.
        SELECT {gathered} INTO {changed} FROM new_values AS change WHERE {has_key};
{recount_changed}
    END IF;
    RETURN NULL;


-- name: adopt_difference
-- Somebody else has changed the sum of a row: the difference was used, or given back. A key that is
-- another one by now was changed by a trigger that came after `guard_key`.
    IF {key_differs} THEN
    {refuse_key}
    END IF;
    IF {new_is_somebodys} AND coalesce(NEW.{column}, 0) <> coalesce(OLD.{column}, 0)
       AND pg_catalog.current_setting('sentinel.repair', true) IS DISTINCT FROM 'on' THEN
        engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text,
                                        true);
        INSERT INTO {schema}.{child} ({adopted_columns}, {quantity})
        VALUES ({adopted_values}, coalesce(NEW.{column}, 0) - coalesce(OLD.{column}, 0));
    END IF;
    RETURN NULL;


-- name: delete_events
-- A row takes its events along, whoever deletes it. The same statement may have appended events to
-- it, or may have put another row in its place. Either is summed before this trigger or after it:
-- before, the row is summed again here; after, the flag makes the other triggers do it. A row that is
-- there by now is one of this transaction's: anybody else's has to wait for the key.
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    PERFORM pg_catalog.set_config('sentinel.recount', 'on', true);
    SELECT {gathered} INTO {changed} FROM old_values AS change WHERE {has_key};
    DELETE FROM {schema}.{child}
     USING unnest({changed_keys}) AS change ({keys})
     WHERE {child_is_change};
{recount_changed}
    RETURN NULL;


-- name: delete_all_events
-- TRUNCATE of the rows takes every event along. DELETE, since a TRUNCATE of the ledger would wait
-- for those who are about to append to it, while they wait for the rows.
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    DELETE FROM {schema}.{child};
    RETURN NULL;


-- name: guard_key
-- A row and its events would part.
    RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',
                    {name}, {parent_name},
                    pg_catalog.jsonb_build_array({old_keys}), pg_catalog.jsonb_build_array({new_keys})
        USING ERRCODE = 'restrict_violation',
              HINT = 'Insert a row with the other key, and delete this one.';


-- name: compare_totals
-- One row a key: what is stored beside what the events say. Rows without a complete key are
-- nobody's; events without a row are drift. Of all keys, or of given ones.
SELECT pg_catalog.jsonb_build_array({keys}) AS key,
       ARRAY[kept.stored]::bigint[] AS stored,
       coalesce(summed.actual, 0)::bigint AS actual
  FROM (SELECT {keys}, {column} AS stored
          FROM {schema}.{parent}
         WHERE {has_key}{and_among}) AS kept
  FULL JOIN (SELECT {keys}, sum({quantity}) AS actual
               FROM {schema}.{child}
              WHERE {has_key}{and_among}
              GROUP BY {keys}) AS summed
 USING ({keys})


-- name: is_among
-- Whether a row has one of the keys of a JSON array, each of which is an array of the key columns.
({keys}) IN (SELECT {typed_keys} FROM jsonb_array_elements({among}) AS given (key))


-- name: add_missing_totals
-- Rows for events that have none, with 0: a repair counts them afterwards.
INSERT INTO {schema}.{parent} ({keys}, {created_columns}, {column})
SELECT {keys}, {created_values}, 0
  FROM (SELECT DISTINCT {keys} FROM {schema}.{child} WHERE {is_among}) AS missing
 WHERE NOT EXISTS (SELECT FROM {schema}.{parent} WHERE {parent_is_missing})
 ORDER BY {keys}
    ON CONFLICT ({keys}) DO NOTHING


-- name: row_key
pg_catalog.jsonb_build_array({parent_keys})


-- name: lock_totals
-- In the order of the keys, as the triggers do.
SELECT {row_key}
  FROM {schema}.{parent}
 WHERE {is_among}
 ORDER BY {parent_keys}
   FOR NO KEY UPDATE{skip_locked}


-- name: rewrite_totals
-- The guard puts the sum of the events in the place of the NULL.
UPDATE {schema}.{parent}
   SET {column} = NULL
 WHERE {is_among}
