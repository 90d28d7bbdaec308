-- Bodies of the trigger functions. A block begins with its name; the comment below the name says
-- what it does. Words in braces are filled in with quoted identifiers when a trigger is compiled.
--
-- What all of them keep to:
--   * every table is named with its schema: a temporary table of the writer cannot stand in for it;
--   * parents are locked in the order of their keys, with the weakest lock that does
--     (NO KEY UPDATE): foreign-key checks of concurrent inserts do not wait;
--   * functions are named with pg_catalog, so that nobody's function of the same name is called.
--     The search_path cannot be pg_catalog alone: triggers of others on the parent run below ours
--     and inherit it (unnest of two arrays is syntax, not a function, and takes no schema);
--   * locking and counting are two statements: the second one's snapshot is taken when the locks
--     are held, and so sees what everybody before us has committed;
--   * `sentinel.engine` holds the depth of the trigger that writes a counter, so that the guard
--     knows the engine from everybody else. The function's SET clause puts the old value back;
--   * arrays are named by a sub-select: where the planner sees their elements it plans anew for
--     each statement, which takes longer than the statement. Nothing is joined with a transition
--     table: a plan made for the rows of a bulk insert would be kept for the next single row.


-- name: insert_deltas
-- The rows of one INSERT, COPY, or of the inserting half of an upsert or MERGE: one delta a parent.
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT {child}.{foreign_key} AS key, pg_catalog.count(*) AS delta
              FROM new_values AS {child}
             WHERE {child}.{foreign_key} IS NOT NULL{and_condition}
             GROUP BY {child}.{foreign_key}) AS change;


-- name: delete_deltas
-- The rows of one DELETE, also of one made by a cascade.
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT {child}.{foreign_key} AS key, -pg_catalog.count(*) AS delta
              FROM old_values AS {child}
             WHERE {child}.{foreign_key} IS NOT NULL{and_condition}
             GROUP BY {child}.{foreign_key}) AS change;


-- name: update_deltas
-- The rows of one UPDATE, new less old: a move to another parent and a change of a condition come
-- out of the same sum. Parents that neither won nor lost are left alone, except when recounting:
-- the count that disturbed the deltas may have seen the statement half done.
    SELECT pg_catalog.array_agg(change.key), pg_catalog.array_agg(change.delta)
      INTO changed_keys, deltas
      FROM (SELECT moved.key, pg_catalog.sum(moved.delta) AS delta
              FROM (SELECT {child}.{foreign_key} AS key, 1 AS delta
                      FROM new_values AS {child}
                     WHERE {child}.{foreign_key} IS NOT NULL{and_condition}
                     UNION ALL
                    SELECT {child}.{foreign_key}, -1
                      FROM old_values AS {child}
                     WHERE {child}.{foreign_key} IS NOT NULL{and_condition}) AS moved
             GROUP BY moved.key
            HAVING recounting OR pg_catalog.sum(moved.delta) <> 0) AS change;


-- name: lock_changed
-- The order of the keys is the order of the locks: whoever writes the same parents waits in a line.
        PERFORM FROM {schema}.{parent}
          WHERE {parent}.{key} = ANY ((SELECT changed_keys)::{keys_type})
          ORDER BY {parent}.{key}
            FOR NO KEY UPDATE;


-- name: lock_changed_unless_locked
-- Where `lock_first` has come before.
        IF NOT locked THEN
    {lock_changed}
        END IF;


-- name: lock_first
-- Locks the parents of all inserted rows before the foreign key looks at the first of them. Its
-- trigger is one of rows, and those fire before a statement's. A parent that many share (the foreign
-- key's FOR KEY SHARE) while somebody updates it carries the list of all of them in each of its
-- versions, and reading these lists is what many writers then do. One parent needs no order, and is
-- locked next by the UPDATE that counts.
    SELECT pg_catalog.array_agg(DISTINCT {child}.{foreign_key})
      INTO changed_keys
      FROM new_values AS {child}
     WHERE {child}.{foreign_key} IS NOT NULL{and_condition};
    IF pg_catalog.cardinality(changed_keys) > 1 THEN
{lock_changed}
    END IF;
    RETURN NULL;


-- name: is_first_row
-- The WHEN clause of `lock_first`: true at the first row of a statement, and then no more until the
-- counting trigger has put the setting back. A session that makes the setting by itself gives up the
-- order of its own locks, and no count.
CASE WHEN current_setting({locked}, true) = 'on' THEN false
     ELSE set_config({locked}, 'on', true) = 'on' END


-- name: is_locked
-- Whether `lock_first` has run for this statement.
coalesce(pg_catalog.current_setting({locked}, true), '') = 'on'


-- name: unlock_next
-- The next statement is to lock its own parents.
    unlocked := pg_catalog.set_config({locked}, '', true);


-- name: count_children
-- Brings the deltas to the parents.
{unlock_next}{deltas}
    IF changed_keys IS NULL THEN
        RETURN NULL;
    END IF;

    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);

    IF recounting THEN
        -- Somebody wrote a counter in this transaction, perhaps in the very statement that wrote
        -- these rows, and the guard's count may include them already: count again.
{lock_changed}
        UPDATE {schema}.{parent}
           SET {set_recounted}
          FROM (SELECT changed.key,
                       (SELECT pg_catalog.count(*)
                          FROM {schema}.{child}
                         WHERE {child}.{foreign_key} = changed.key{and_condition}) AS actual
                  FROM pg_catalog.unnest((SELECT changed_keys)) AS changed (key)) AS counted
         WHERE {parent}.{key} = counted.key;
    ELSIF pg_catalog.cardinality(changed_keys) = 1 THEN
        UPDATE {schema}.{parent}
           SET {set_one}
         WHERE {parent}.{key} = changed_keys[1];
    ELSE
{lock_several}
        UPDATE {schema}.{parent}
           SET {set_many}
          FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
         WHERE {parent}.{key} = change.key;
    END IF;

    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < pg_catalog.cardinality(changed_keys) THEN
        -- Parents that are being deleted are gone already when a cascade reaches their children.
        -- Anything else would be a count that is silently lost.
        IF written < (SELECT pg_catalog.count(*)
                        FROM {schema}.{parent}
                       WHERE {parent}.{key} = ANY ((SELECT changed_keys)::{keys_type})) THEN
            RAISE EXCEPTION 'counter %: a trigger of % kept the count from being written',
                            {name}, {parent_name}
                USING ERRCODE = 'triggered_action_exception',
                      HINT = 'A BEFORE UPDATE trigger returned NULL. Let it return NEW.';
        ELSIF EXISTS (SELECT FROM unnest((SELECT changed_keys), (SELECT deltas)) AS change (key, delta)
                       WHERE change.delta > 0
                         AND NOT EXISTS (SELECT FROM {schema}.{parent}
                                          WHERE {parent}.{key} = change.key)) THEN
            RAISE EXCEPTION 'counter %: a row of % came before its row of %',
                            {name}, {child_name}, {parent_name}
                USING ERRCODE = 'foreign_key_violation',
                      HINT = 'Insert the parent first. A deferrable foreign key hides the mistake: '
                             'make it NOT DEFERRABLE.';
        END IF;
    END IF;
    RETURN NULL;


-- name: zero_parents
-- TRUNCATE leaves nothing to count, and no transition table to count it by.
    engine := pg_catalog.set_config('sentinel.engine', pg_catalog.pg_trigger_depth()::text, true);
    UPDATE {schema}.{parent} SET {set_zero} WHERE {not_zero};
    RETURN NULL;


-- name: guard_insert
-- A new parent has no children, whatever the writer says.
    {new_zero}
    RETURN NEW;


-- name: guard_update
-- Somebody other than the engine writes the counter or a mirror. The row is locked by now, and a
-- query in a volatile function takes a fresh snapshot: what we count is what is committed, and
-- what this transaction did. A mirror alone goes back to what it was, at no cost.
    IF NEW.{column} IS DISTINCT FROM OLD.{column} THEN
        SELECT pg_catalog.count(*)
          INTO NEW.{column}
          FROM {schema}.{child}
         WHERE {child}.{foreign_key} = NEW.{key}{and_condition};
        {follow}
    ELSE
        {stay}
    END IF;
    RETURN NEW;


-- name: guard_key
-- Children and counter would part: the children keep the old key or are moved one by one.
    RAISE EXCEPTION 'counter %: the key of a row of % cannot be changed (% to %)',
                    {name}, {parent_name}, OLD.{key}, NEW.{key}
        USING ERRCODE = 'restrict_violation',
              HINT = 'Insert a new row, move the children to it, and delete the old one.';


-- name: derive
-- The value follows from the row itself, whatever the writer put there. A repair asks for nothing
-- but the value: what triggers of others made of its UPDATE (a new updated_at) is taken back.
    IF TG_OP = 'UPDATE'
        AND pg_catalog.current_setting('sentinel.derive_alone', true) = 'on' THEN
        NEW := OLD;
    END IF;
    NEW.{column} := {expression};
    RETURN NEW;
