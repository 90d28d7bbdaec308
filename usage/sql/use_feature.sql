-- Checks and records one use of a feature: one row with the fields of `Admission`, in their order,
-- which is that of the type feature_use. The arguments are those of the function, in its order: its
-- text is parsed at every use.
SELECT *
  FROM public.use_feature(
           %(user_id)s, %(feature)s::varchar, %(quantity)s, %(key)s::text, %(provided)s::integer,
           %(tiers)s::text[], %(track)s, %(enforce)s, %(tolerant)s, %(source)s::text,
           coalesce(%(now)s::timestamptz, now()))
