-- A value of chat_threads.thread_uuid for every row that was there before the column.
--
-- Only while the column is not unique yet: a row that has none on a complete database keeps none.
-- A thousand rows at a time, each batch a transaction of its own. Rows that somebody holds are left
-- for the next round, so nobody waits for longer than one batch takes.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;
    written    bigint;
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_index AS i
          JOIN pg_catalog.pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE i.indrelid = 'chat_threads'::regclass
           AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
           AND a.attname = 'thread_uuid'
    ) THEN
        RETURN;
    END IF;
    LOOP
        UPDATE chat_threads
           SET thread_uuid = gen_random_uuid()
         WHERE id IN (SELECT id FROM chat_threads
                       WHERE thread_uuid IS NULL
                       ORDER BY id LIMIT batch_size
                         FOR NO KEY UPDATE SKIP LOCKED);
        GET DIAGNOSTICS written = ROW_COUNT;
        COMMIT;
        EXIT WHEN written = 0 AND NOT EXISTS (SELECT FROM chat_threads WHERE thread_uuid IS NULL);
        IF written = 0 THEN
            PERFORM pg_sleep(0.1);  -- all that are left are held by somebody
        END IF;
    END LOOP;
END
$$
