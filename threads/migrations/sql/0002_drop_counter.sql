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
