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
