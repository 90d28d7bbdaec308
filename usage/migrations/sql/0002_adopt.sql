-- Opening events: what the months hold already, and whatever differs when the system is taken over
-- again. By now every further write to a month is adopted by the triggers, and nothing counts the
-- ledger's events yet, so the difference between a month and its events is what is missing.
--
-- A thousand rows at a time, each batch a transaction of its own: lock the rows, then look at the
-- events in a second statement, whose snapshot is taken when the locks are held. Rows that agree
-- with their events are left alone, so it can be run again.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most
    last_id    integer := -2147483648;
    next_id    integer;
BEGIN
    -- Events of a month that somebody deleted while nobody looked: they die with it.
    DELETE FROM public.feature_usage_events AS event
     WHERE NOT EXISTS (SELECT FROM public.feature_usage AS month
                        WHERE month.user_id = event.user_id
                          AND month.feature = event.feature
                          AND month.period_start = event.period_start);
    COMMIT;

    LOOP
        SELECT max(id) INTO next_id
          FROM (SELECT id FROM public.feature_usage
                 WHERE id > last_id ORDER BY id LIMIT batch_size) AS batch;
        EXIT WHEN next_id IS NULL;

        PERFORM FROM public.feature_usage
          WHERE id > last_id AND id <= next_id AND user_id IS NOT NULL
          ORDER BY id
            FOR NO KEY UPDATE;

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
         WHERE month.id > last_id AND month.id <= next_id AND month.user_id IS NOT NULL
           AND coalesce(month.usage_count, 0) <> known.quantity;

        -- NULL counts as 0, which the guard makes of it.
        UPDATE public.feature_usage
           SET usage_count = NULL
         WHERE id > last_id AND id <= next_id AND user_id IS NOT NULL AND usage_count IS NULL;
        COMMIT;

        last_id := next_id;
    END LOOP;
END
$$
