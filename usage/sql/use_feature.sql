-- Checks and records one use of a feature: what came of it as one JSON object, with the fields of the
-- type feature_use. As a row of fifteen columns it takes a scan of the function and a tenth longer. The
-- arguments are those of the function, in its order: its text is parsed at every use.
SELECT row_to_json(public.use_feature(
           %(user_id)s, %(feature)s::varchar, %(quantity)s, %(key)s::text, %(provided)s::integer,
           %(tiers)s::text[], %(track)s, %(enforce)s, %(tolerant)s, %(source)s::text,
           coalesce(%(now)s::timestamptz, now())))
