-- Adds up what one process has refused since it last wrote.


-- name: patience
-- For the transaction alone: nobody waits for these rows but processes like this one.
SELECT set_config('lock_timeout', %(timeout)s, true), set_config('statement_timeout', %(timeout)s, true)


-- name: add
-- In the order of the keys, so that two processes wait for each other in a line and not in a circle.
INSERT INTO public.feature_usage_refusals AS known
       (day, user_id, feature, plan, refusals, last_at)
SELECT refused.day, refused.user_id, refused.feature, refused.plan, refused.refusals,
       refused.last_at
  FROM unnest(%(days)s::date[], %(users)s::integer[], %(features)s::text[], %(plans)s::text[],
              %(refusals)s::bigint[], %(last_at)s::timestamptz[])
       AS refused (day, user_id, feature, plan, refusals, last_at)
 ORDER BY refused.user_id, refused.day, refused.feature, refused.plan
    ON CONFLICT (user_id, day, feature, plan) DO UPDATE
   SET refusals = known.refusals + excluded.refusals,
       last_at = greatest(known.last_at, excluded.last_at)
