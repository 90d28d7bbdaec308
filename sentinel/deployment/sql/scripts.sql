-- Parts of the files in deploy/. Words in braces are filled in; what stands in psql's hands, such as
-- \set, is for psql alone.


-- name: opening
-- How every file begins. The comments that follow are printed.

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


-- name: refuse
-- After the check of the first migrations, in its transaction.
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


-- name: step
-- One step in one transaction; the opening tells the figures' reasons. A COMMIT ends every attempt,
-- so that no snapshot is held during the pause.
DO {tag}
DECLARE
    done boolean := false;
BEGIN
    FOR attempt IN 1..90 LOOP
        PERFORM set_config('lock_timeout', '500ms', true),
                set_config('client_min_messages', 'warning', true);
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.migrate', 0));
            EXECUTE {body_tag}
{body}
{body_tag};
            done := true;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF attempt = 90 THEN RAISE; END IF;
        END;
        COMMIT;
        EXIT WHEN done;
        PERFORM pg_sleep(0.5 + random());
    END LOOP;
END
{tag};


-- name: invalid_index
-- An index that was left behind half built is there by name, and of no use.
SELECT format('DROP INDEX CONCURRENTLY %s', indexrelid::regclass)
  FROM pg_catalog.pg_index
 WHERE indexrelid = to_regclass({index}) AND NOT indisvalid
\gexec


-- name: audit
-- The proof, as the guide asks for it. One statement, so one snapshot.
DO $audit$
DECLARE
    checked bigint;
    drifted bigint;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE {differs})
      INTO checked, drifted
      FROM (
{comparison}
           ) AS compared;
    RAISE NOTICE 'audit of {name}: % rows, % mismatches', checked, drifted;
    IF drifted > 0 THEN
        RAISE EXCEPTION '{name}: % of % rows are not what they should be', drifted, checked
            USING ERRCODE = 'data_exception',
                  HINT = 'Somebody writes with the triggers switched off. Run the file again, '
                         'or manage.py repair_counters.';
    END IF;
END
$audit$;


-- name: forget_migrations
-- So that the next `manage.py migrate` does all of it anew. Where Django has never been there is
-- nothing to forget.
DO $forget$
BEGIN
    IF to_regclass('public.django_migrations') IS NOT NULL THEN
        DELETE FROM public.django_migrations
         WHERE (app, name) IN ({migrations});
    END IF;
END
$forget$;
