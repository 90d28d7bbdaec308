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
