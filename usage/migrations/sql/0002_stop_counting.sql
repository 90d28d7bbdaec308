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
