-- Backfill of travel_itineraries.destinations_count.
--
-- A thousand itineraries at a time, in the order of their keys, each batch a transaction of its
-- own: lock those that differ, then have the trigger derive the value again. NULL is what the
-- trigger replaces; without it the column's NOT NULL refuses the statement. `derive_alone` keeps
-- what other triggers make of an update, a new updated_at, out of the row.
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    last_key   bigint := -9223372036854775808;
    next_key   bigint;
    differing  bigint[];
BEGIN
    LOOP
        SELECT max(id) INTO next_key
          FROM (SELECT id FROM public.travel_itineraries
                 WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;
        EXIT WHEN next_key IS NULL;

        PERFORM set_config('sentinel.derive_alone', 'on', true);

        SELECT array_agg(id ORDER BY id) INTO differing
          FROM public.travel_itineraries
         WHERE id > last_key AND id <= next_key
           AND destinations_count IS DISTINCT FROM
               CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
                    THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END;

        IF differing IS NOT NULL THEN
            PERFORM FROM public.travel_itineraries
              WHERE id = ANY (differing) ORDER BY id FOR NO KEY UPDATE;
            UPDATE public.travel_itineraries
               SET destinations_count = NULL WHERE id = ANY (differing);
        END IF;
        COMMIT;

        last_key := next_key;
    END LOOP;
END
$$
