DROP FUNCTION IF EXISTS public.archive_old_feature_usage();
DROP FUNCTION IF EXISTS public.archive_usage_batch(bigint, date, integer[]);
DROP FUNCTION IF EXISTS public.total_archived_usage(integer[], integer[], varchar[], date[]);
DROP FUNCTION IF EXISTS public.total_live_usage(integer[]);
DROP FUNCTION IF EXISTS public.list_usage_batches(date, integer);
DROP FUNCTION IF EXISTS public.end_usage_archive(bigint, text, text);
DROP FUNCTION IF EXISTS public.begin_usage_archive(date, text, integer);
