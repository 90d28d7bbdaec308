-- Backfill of chat_threads.thread_messages_count and of its mirror, message_count.
--
-- A thousand threads at a time, in the order of their keys, each batch a transaction of its own:
-- lock the threads that differ, then write NULL into the counter. The guard never lets a NULL
-- through: it counts the messages, under the lock and in a fresh snapshot, and stores the truth in
-- counter and mirror. Without the guard the column's NOT NULL refuses the statement, so that
-- nothing wrong can be written. Threads that are right already are not touched.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    last_key   integer := -2147483648;
    next_key   integer;
    differing  integer[];
BEGIN
    LOOP
        SELECT max(id) INTO next_key
          FROM (SELECT id FROM public.chat_threads
                 WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;
        EXIT WHEN next_key IS NULL;

        SELECT array_agg(thread.id ORDER BY thread.id) INTO differing
          FROM public.chat_threads AS thread
          CROSS JOIN LATERAL (SELECT count(*) AS actual FROM public.chat_messages AS message
                               WHERE message.thread_id = thread.id) AS counted
         WHERE thread.id > last_key AND thread.id <= next_key
           AND (thread.thread_messages_count IS DISTINCT FROM counted.actual
                OR thread.message_count IS DISTINCT FROM counted.actual);

        IF differing IS NOT NULL THEN
            PERFORM FROM public.chat_threads
              WHERE id = ANY (differing) ORDER BY id FOR NO KEY UPDATE;
            UPDATE public.chat_threads SET thread_messages_count = NULL WHERE id = ANY (differing);
        END IF;
        COMMIT;

        last_key := next_key;
    END LOOP;
END
$$
