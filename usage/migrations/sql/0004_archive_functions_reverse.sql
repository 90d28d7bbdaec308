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
