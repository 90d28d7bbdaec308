-- Backfill of chat_threads.thread_messages_count and of its mirror, message_count.
--
-- A thousand threads at a time, in the order of their keys, each batch a transaction of its own:
-- lock those that differ and that nobody holds, then write NULL into the counter. The
-- guard never lets a NULL through: it counts the messages, under the lock and in a fresh snapshot,
-- and stores the truth in counter and mirror. Without the guard the column's NOT NULL refuses the
-- statement, so that nothing wrong can be written.
-- Those that somebody holds come last, one by one, so that nobody waits for a batch that itself
-- waits for somebody. Threads that are right already are not touched.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   integer := -2147483648;
    next_key   integer;
    wanted     integer[];
    locked     integer[];
    held       integer[] := '{}';
    waits      integer := 0;
BEGIN
    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.chat_threads
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(
                SELECT thread.id
                  FROM public.chat_threads AS thread
                  CROSS JOIN LATERAL (SELECT count(*) AS actual FROM public.chat_messages AS message
                                       WHERE message.thread_id = thread.id) AS counted
                 WHERE thread.id > last_key AND thread.id <= next_key
                   AND (thread.thread_messages_count IS DISTINCT FROM counted.actual
                        OR thread.message_count IS DISTINCT FROM counted.actual));
            locked := ARRAY(SELECT id FROM public.chat_threads
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.chat_threads
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of chat_threads are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        -- The guard acts on a change; a column that somebody else made may hold a NULL already.
        UPDATE public.chat_threads
           SET thread_messages_count = CASE WHEN thread_messages_count IS NULL THEN 0 END
         WHERE id = ANY (locked);
        COMMIT;
    END LOOP;
END
$$
