-- What is known of a person's usage, wherever it is. Four queries count, four delete.


-- name: count_ledger
SELECT (SELECT count(*) FROM public.feature_usage WHERE user_id = %(user)s),
       (SELECT count(*) FROM public.feature_usage_events WHERE user_id = %(user)s)


-- name: count_archive
-- By the months: each event has one, and the index on events begins with it.
SELECT count(*), coalesce(sum(counted.events), 0)
  FROM public.feature_usage_archive AS month
 CROSS JOIN LATERAL (SELECT count(*)
                       FROM public.feature_usage_events_archive AS event
                      WHERE event.period_start = month.period_start
                        AND event.user_id = month.user_id
                        AND event.feature = month.feature) AS counted (events)
 WHERE month.user_id = %(user)s


-- name: count_keys
SELECT count(*) FROM public.feature_usage_archived_keys WHERE user_id = %(user)s


-- name: count_refusals
SELECT count(*) FROM public.feature_usage_refusals WHERE user_id = %(user)s


-- name: erase_ledger
-- Events go with their months. Those that drift has left without one go as well.
WITH gone_rows AS (
    DELETE FROM public.feature_usage WHERE user_id = %(user)s
)
DELETE FROM public.feature_usage_events WHERE user_id = %(user)s


-- name: erase_archive
WITH gone_rows AS (
    DELETE FROM public.feature_usage_archive AS month
     WHERE month.user_id = %(user)s
    RETURNING month.period_start, month.user_id, month.feature
)
DELETE FROM public.feature_usage_events_archive AS event
 USING gone_rows AS gone
 WHERE event.period_start = gone.period_start
   AND event.user_id = gone.user_id
   AND event.feature = gone.feature


-- name: erase_keys
DELETE FROM public.feature_usage_archived_keys WHERE user_id = %(user)s


-- name: erase_refusals
DELETE FROM public.feature_usage_refusals WHERE user_id = %(user)s
