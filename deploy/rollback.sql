-- Gives the database back to the existing application, and keeps what holds data.
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
DROP FUNCTION IF EXISTS public.count_feature_usage_days(date, timestamptz);
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


DROP INDEX CONCURRENTLY IF EXISTS "idx_usage_events_period_brin";


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
DROP MATERIALIZED VIEW IF EXISTS public.feature_usage_summary;
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
DROP FUNCTION IF EXISTS public.archive_old_feature_usage();
DROP FUNCTION IF EXISTS public.archive_usage_batch(bigint, date, integer[]);
DROP FUNCTION IF EXISTS public.total_archived_usage(integer[], integer[], varchar[], date[]);
DROP FUNCTION IF EXISTS public.total_live_usage(integer[]);
DROP FUNCTION IF EXISTS public.list_usage_batches(date, integer);
DROP FUNCTION IF EXISTS public.end_usage_archive(bigint, text, text);
DROP FUNCTION IF EXISTS public.begin_usage_archive(date, text, integer);

-- Archived keys are no longer looked for, and the archive stays.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.feature_usage_events')
           AND tgname = 'pgtrigger_archived_keys_on_insert_11aed'
    ) THEN
        DROP TRIGGER pgtrigger_archived_keys_on_insert_11aed ON public.feature_usage_events;
    END IF;
    DROP FUNCTION IF EXISTS public.pgtrigger_archived_keys_on_insert_11aed();
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
-- Plans' limits and overrides hold what people decided, and stay.
DROP FUNCTION IF EXISTS
    public.use_feature(integer, varchar, integer, text, integer, text[], boolean, boolean, boolean,
                       text, timestamptz),
    public.use_feature_or_raise(integer, varchar, integer, text, integer, text[], boolean, boolean,
                                text, timestamptz),
    public.feature_used(integer, varchar, text, timestamptz),
    public.feature_resets_at(text, timestamptz),
    public.required_plan(varchar, integer, text[], text),
    public.feature_limit(integer, varchar, timestamptz),
    public.find_limit(integer, varchar, timestamptz);
DROP TYPE IF EXISTS public.feature_use;
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


-- threads.0003_replace_legacy_trigger ---------------------------------------------------------------
\echo 'threads.0003_replace_legacy_trigger'

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
-- The legacy trigger again, with its function as it was found, and ours for user_usage gone, in one
-- transaction: no message is counted twice or not at all. Where this was done already nothing is
-- locked.
DO $$
BEGIN
    IF to_regclass('public.chat_messages') IS NULL OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.chat_messages') AND tgname = 'thread_message_added'
    ) AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.chat_messages')
           AND tgname = 'pgtrigger_user_usage_on_insert_05464'
    ) THEN
        RETURN;
    END IF;

    LOCK TABLE public.chat_messages IN ACCESS EXCLUSIVE MODE;
    CREATE OR REPLACE TRIGGER thread_message_added
        AFTER INSERT ON public.chat_messages
        FOR EACH ROW EXECUTE FUNCTION public.update_thread_stats();
    DROP TRIGGER IF EXISTS pgtrigger_user_usage_on_insert_05464 ON public.chat_messages;
    DROP FUNCTION IF EXISTS public.pgtrigger_user_usage_on_insert_05464();
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
-- The way back, first part: from one moment to the next nobody counts but the legacy trigger, which
-- 0003 has put back before.
--
-- One transaction, which locks chat_messages alone. It waits for whoever has written messages and
-- not committed yet. Until it commits our triggers keep message_count true; from then on they are
-- gone. The guards stand on chat_threads. Without the counting triggers they would keep the legacy
-- trigger from writing message_count, so in the same moment they are made to let everything pass: by
-- another body, which takes no lock on their table.
DO $$
DECLARE
    counting name[];
    named    name;
    guard    regprocedure;
BEGIN
    SELECT array_agg(tgname ORDER BY tgname) INTO counting
      FROM pg_catalog.pg_trigger
     WHERE tgrelid = to_regclass('public.chat_messages')
       AND tgname ~ '^pgtrigger_thread_messages_count_on_';
    IF counting IS NULL THEN
        RETURN;
    END IF;

    LOCK TABLE public.chat_messages IN ACCESS EXCLUSIVE MODE;
    FOREACH named IN ARRAY counting LOOP
        EXECUTE format('DROP TRIGGER %I ON public.chat_messages', named);
        EXECUTE format('DROP FUNCTION public.%I()', named);
    END LOOP;

    FOR guard IN
        SELECT tgfoid
          FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.chat_threads')
           AND tgname ~ '^pgtrigger_thread_messages_count_guard_'
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql '
                       'AS ''BEGIN RETURN NEW; END''', guard);
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
-- The way back, second part: the guards, the counter and its index, in one transaction, which locks
-- chat_threads alone. The index goes with its column, and neither is a matter of size. Where nothing
-- is left, nothing is locked.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attribute
         WHERE attrelid = to_regclass('public.chat_threads')
           AND attname = 'thread_messages_count' AND NOT attisdropped
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.chat_threads')
           AND tgname ~ '^pgtrigger_thread_messages_count_guard_'
    ) THEN
        LOCK TABLE public.chat_threads IN ACCESS EXCLUSIVE MODE;
        DROP TRIGGER IF EXISTS pgtrigger_thread_messages_count_guard_insert_3ebbe
            ON public.chat_threads;
        DROP TRIGGER IF EXISTS pgtrigger_thread_messages_count_guard_update_9b413
            ON public.chat_threads;
        DROP TRIGGER IF EXISTS pgtrigger_thread_messages_count_guard_key_4f852
            ON public.chat_threads;
        ALTER TABLE public.chat_threads DROP COLUMN IF EXISTS thread_messages_count;
    END IF;
    DROP FUNCTION IF EXISTS
        public.pgtrigger_thread_messages_count_guard_insert_3ebbe(),
        public.pgtrigger_thread_messages_count_guard_update_9b413(),
        public.pgtrigger_thread_messages_count_guard_key_4f852();
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
-- The way back: the trigger, the counter and its index, in one transaction, which locks
-- travel_itineraries alone. The index goes with its column, and none is a matter of size. Where
-- nothing is left, nothing is locked.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attribute
         WHERE attrelid = to_regclass('public.travel_itineraries')
           AND attname = 'destinations_count' AND NOT attisdropped
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.travel_itineraries')
           AND tgname = 'zzz_destinations_count_derive_07f30'
    ) THEN
        LOCK TABLE public.travel_itineraries IN ACCESS EXCLUSIVE MODE;
        DROP TRIGGER IF EXISTS zzz_destinations_count_derive_07f30 ON public.travel_itineraries;
        ALTER TABLE public.travel_itineraries DROP COLUMN IF EXISTS destinations_count;
    END IF;
    DROP FUNCTION IF EXISTS public.zzz_destinations_count_derive_07f30();
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
DROP FUNCTION IF EXISTS public.get_user_feature_usage(integer);
DROP FUNCTION IF EXISTS public.get_feature_usage(integer, varchar);
DROP FUNCTION IF EXISTS public.increment_feature_usage_safe(integer, varchar, integer);
DROP FUNCTION IF EXISTS public.refund_feature_usage(bigint, text);
DROP FUNCTION IF EXISTS public.admit_lifetime_usage(
    integer, varchar, integer, integer, text, text, timestamptz);
DROP FUNCTION IF EXISTS public.admit_feature_usage(
    integer, varchar, integer, integer, text, text, timestamptz);
DROP FUNCTION IF EXISTS public.admit_usage(
    integer, varchar, integer, integer, text, text, timestamptz, boolean);
DROP FUNCTION IF EXISTS public.find_usage_event(integer, text);
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
-- The way back, first part: events are no longer summed. Nobody appends any by now, since the
-- functions are gone; the events stay. One transaction, which locks feature_usage_events alone.
DO $$
DECLARE
    named name;
BEGIN
    FOR named IN
        SELECT tgname
          FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.feature_usage_events')
           AND tgname ~ '^pgtrigger_usage_count_'
         ORDER BY tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON public.feature_usage_events', named);
        EXECUTE format('DROP FUNCTION public.%I()', named);
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
-- The way back, second part: what the existing application writes into a month is the month's again,
-- and no event is made of it. Triggers, indexes and column go in one transaction, which locks
-- feature_usage alone; none of them is a matter of size. The months stay as they are.
DO $$
DECLARE
    named name;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.feature_usage') AND tgname ~ '^pgtrigger_usage_count_'
    ) AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
         WHERE attrelid = to_regclass('public.feature_usage')
           AND attname = 'updated_at' AND NOT attisdropped
    ) THEN
        RETURN;
    END IF;

    LOCK TABLE public.feature_usage IN ACCESS EXCLUSIVE MODE;
    FOR named IN
        SELECT tgname
          FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.feature_usage') AND tgname ~ '^pgtrigger_usage_count_'
         ORDER BY tgname
    LOOP
        EXECUTE format('DROP TRIGGER %I ON public.feature_usage', named);
        EXECUTE format('DROP FUNCTION public.%I()', named);
    END LOOP;
    DROP INDEX IF EXISTS
        public.idx_feature_usage_user_feature_period,
        public.idx_feature_usage_period_start,
        public.idx_feature_usage_updated_at;
    ALTER TABLE public.feature_usage DROP COLUMN IF EXISTS updated_at;
    ALTER TABLE public.feature_usage
        RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold);
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


DO $forget$
BEGIN
    IF to_regclass('public.django_migrations') IS NOT NULL THEN
        DELETE FROM public.django_migrations
         WHERE (app, name) IN (('usage', '0005_reporting'), ('usage', '0004_archive'), ('usage', '0003_plan_limits'), ('threads', '0003_replace_legacy_trigger'), ('threads', '0002_thread_messages_count'), ('itineraries', '0002_destinations_count'), ('usage', '0002_ledger'));
    END IF;
END
$forget$;
