-- The way back: the trigger, the counter and its index, in one transaction, which locks
-- travel_itineraries alone. The index goes with its column, and none is a matter of size. Where
-- nothing is left, nothing is locked.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attribute
         WHERE attrelid = to_regclass('public.travel_itineraries')
           AND attname = 'destinations_count' AND NOT attisdropped
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger
         WHERE tgrelid = to_regclass('public.travel_itineraries')
           AND tgname = 'zzz_destinations_count_derive_07f30'
    ) THEN
        LOCK TABLE public.travel_itineraries IN ACCESS EXCLUSIVE MODE;
        DROP TRIGGER IF EXISTS zzz_destinations_count_derive_07f30 ON public.travel_itineraries;
        ALTER TABLE public.travel_itineraries DROP COLUMN IF EXISTS destinations_count;
    END IF;
    DROP FUNCTION IF EXISTS public.zzz_destinations_count_derive_07f30();
END
$$;
