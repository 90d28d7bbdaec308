-- Opening events: what the months hold already, and whatever differs when the system is taken over
-- again. By now every further write to a month is adopted by the triggers, and nothing counts the
-- ledger's events yet, so the difference between a month and its events is what is missing.
--
-- A thousand rows at a time, each batch a transaction of its own: lock the rows that nobody holds,
-- then look at the events in a second statement, whose snapshot is taken when the locks are held.
-- Rows that somebody holds come last, one by one, so that nobody waits for a batch that itself waits
-- for somebody. Rows that agree with their events are left alone, so it can be run again.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   integer := -2147483648;
    next_key   integer;
    wanted     integer[];
    locked     integer[];
    held       integer[] := '{}';
    waits      integer := 0;
BEGIN
    -- Events of a month that somebody deleted while nobody looked: they die with it.
    DELETE FROM public.feature_usage_events AS event
     WHERE NOT EXISTS (SELECT FROM public.feature_usage AS month
                        WHERE month.user_id = event.user_id
                          AND month.feature = event.feature
                          AND month.period_start = event.period_start);
    COMMIT;

    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.feature_usage
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(SELECT id FROM public.feature_usage
                             WHERE id > last_key AND id <= next_key AND user_id IS NOT NULL);
            locked := ARRAY(SELECT id FROM public.feature_usage
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.feature_usage
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of feature_usage are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        INSERT INTO public.feature_usage_events
            (user_id, feature, adopted_period, adopted, source, reason, quantity)
        SELECT month.user_id, month.feature, month.period_start, true, 'opening',
               'found in the month when the ledger began',
               coalesce(month.usage_count, 0) - known.quantity
          FROM public.feature_usage AS month
          CROSS JOIN LATERAL (SELECT coalesce(sum(event.quantity), 0) AS quantity
                                FROM public.feature_usage_events AS event
                               WHERE event.user_id = month.user_id
                                 AND event.feature = month.feature
                                 AND event.period_start = month.period_start) AS known
         WHERE month.id = ANY (locked)
           AND coalesce(month.usage_count, 0) <> known.quantity;

        -- NULL counts as 0, which the guard makes of it.
        UPDATE public.feature_usage
           SET usage_count = NULL
         WHERE id = ANY (locked) AND usage_count IS NULL;
        COMMIT;
    END LOOP;
END
$$
