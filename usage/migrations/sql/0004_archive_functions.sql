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
