-- Backfill of travel_itineraries.destinations_count.
--
-- A thousand itineraries at a time, in the order of their keys, each batch a transaction of its own:
-- lock those that differ and that nobody holds, then have the trigger derive the
-- value again. NULL is what the trigger replaces; without it the column's NOT NULL refuses the
-- statement. `derive_alone` keeps what other triggers make of an update, a new updated_at, out of
-- the row.
-- Those that somebody holds come last, one by one, so that nobody waits for a batch that itself
-- waits for somebody. 
DO $$
DECLARE
    batch_size CONSTANT integer := 1000;  -- a writer waits for one batch at most: some 50 ms
    most_waits CONSTANT integer := 120;   -- of half a second: a minute for those that are held
    last_key   bigint := -9223372036854775808;
    next_key   bigint;
    wanted     bigint[];
    locked     bigint[];
    held       bigint[] := '{}';
    waits      integer := 0;
BEGIN
    LOOP
        IF last_key IS NOT NULL THEN
            SELECT max(id) INTO next_key
              FROM (SELECT id FROM public.travel_itineraries
                     WHERE id > last_key ORDER BY id LIMIT batch_size) AS batch;

            wanted := ARRAY(
                SELECT id FROM public.travel_itineraries
                 WHERE id > last_key AND id <= next_key
                   AND destinations_count IS DISTINCT FROM
                       CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
                            THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END);
            locked := ARRAY(SELECT id FROM public.travel_itineraries
                             WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED);
            held := held || ARRAY(SELECT unnest(wanted) EXCEPT SELECT unnest(locked));
            last_key := next_key;
        ELSE
            EXIT WHEN cardinality(held) = 0;
            wanted := held[1:1];
            held := held[2:];
            BEGIN
                PERFORM set_config('lock_timeout', '500ms', true);
                locked := ARRAY(SELECT id FROM public.travel_itineraries
                                 WHERE id = ANY (wanted) FOR NO KEY UPDATE);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                locked := '{}';
                held := held || wanted;
                waits := waits + 1;
                IF waits = most_waits THEN
                    RAISE EXCEPTION 'rows of travel_itineraries are held by others for too long: id %', held
                        USING ERRCODE = 'object_in_use',
                              HINT = 'Let their transactions end, then run migrate again.';
                END IF;
            END;
        END IF;

        PERFORM set_config('sentinel.derive_alone', 'on', true);
        UPDATE public.travel_itineraries SET destinations_count = NULL WHERE id = ANY (locked);
        COMMIT;
    END LOOP;
END
$$
