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
