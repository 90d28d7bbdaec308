-- An archived month comes back into the ledger. Each query is a statement of one transaction.
--
-- Rows of users who are gone cannot: they stay in the archive.


-- name: read_committed
-- What a statement finds is what was committed when it began, as the triggers expect it.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED


-- name: totals
-- By feature what can come back: rows, uses, events, quantity. And how many rows stay.
SELECT month.feature, count(*), coalesce(sum(month.usage_count), 0),
       sum(counted.events), sum(counted.quantity)
  FROM public.feature_usage_archive AS month
 CROSS JOIN LATERAL (SELECT count(*), coalesce(sum(event.quantity), 0)
                       FROM public.feature_usage_events_archive AS event
                      WHERE event.period_start = month.period_start
                        AND event.user_id = month.user_id
                        AND event.feature = month.feature) AS counted (events, quantity)
 WHERE month.period_start = %(month)s
   AND (month.user_id IS NULL OR month.user_id IN (SELECT id FROM public.users))
 GROUP BY month.feature
 ORDER BY month.feature


-- name: rows_that_stay
SELECT count(*)
  FROM public.feature_usage_archive AS month
 WHERE month.period_start = %(month)s
   AND month.user_id NOT IN (SELECT id FROM public.users)


-- name: add_rows
-- Rows without uses: their events bring those. Where a late event has made the row anew it stays.
INSERT INTO public.feature_usage
    (id, user_id, feature, usage_count, period_start, period_end, created_at, updated_at)
SELECT month.id, month.user_id, month.feature,
       CASE WHEN month.user_id IS NULL THEN month.usage_count ELSE 0 END,
       month.period_start, month.period_end, month.created_at, month.updated_at
  FROM public.feature_usage_archive AS month
 WHERE month.period_start = %(month)s
   AND (month.user_id IS NULL OR month.user_id IN (SELECT id FROM public.users))
 ORDER BY month.user_id, month.feature, month.period_start
    ON CONFLICT (user_id, feature, period_start) DO NOTHING


-- name: lock_rows
-- In the order in which the counting triggers lock.
SELECT coalesce(sum(locked.usage_count), 0)
  FROM (SELECT live.usage_count
          FROM public.feature_usage AS live
          JOIN public.feature_usage_archive AS month
            ON (month.user_id, month.feature, month.period_start)
             = (live.user_id, live.feature, live.period_start)
         WHERE month.period_start = %(month)s
         ORDER BY live.user_id, live.feature, live.period_start
           FOR NO KEY UPDATE OF live) AS locked


-- name: sum_rows
SELECT coalesce(sum(live.usage_count), 0)
  FROM public.feature_usage AS live
  JOIN public.feature_usage_archive AS month
    ON (month.user_id, month.feature, month.period_start)
     = (live.user_id, live.feature, live.period_start)
 WHERE month.period_start = %(month)s


-- name: free_keys
-- Before the events come back with them.
DELETE FROM public.feature_usage_archived_keys AS used
 USING public.feature_usage_events_archive AS event
 WHERE event.period_start = %(month)s
   AND event.idempotency_key IS NOT NULL
   AND used.user_id = event.user_id
   AND used.idempotency_key = event.idempotency_key
   AND event.user_id IN (SELECT id FROM public.users)


-- name: add_events
-- Their trigger counts them, once for all.
INSERT INTO public.feature_usage_events
    (id, user_id, feature, quantity, occurred_at, recorded_at, idempotency_key, source, reason,
     adopted, adopted_period)
SELECT event.id, event.user_id, event.feature, event.quantity, event.occurred_at,
       event.recorded_at, event.idempotency_key, event.source, event.reason, event.adopted,
       event.adopted_period
  FROM public.feature_usage_events_archive AS event
 WHERE event.period_start = %(month)s
   AND event.user_id IN (SELECT id FROM public.users)


-- name: keep_timestamps
-- For the next statement alone the triggers leave `updated_at` as it is written.
SELECT set_config('sentinel.repair', 'on', true)


-- name: put_timestamps_back
-- Of the rows that came back. One that a late event had made has been written now, and says so.
UPDATE public.feature_usage AS live
   SET updated_at = month.updated_at
  FROM public.feature_usage_archive AS month
 WHERE month.period_start = %(month)s
   AND live.id = month.id
   AND live.period_start = month.period_start
   AND live.user_id IS NOT NULL


-- name: end_keeping
SELECT set_config('sentinel.repair', '', true)


-- name: remove_events
DELETE FROM public.feature_usage_events_archive AS event
 WHERE event.period_start = %(month)s
   AND event.user_id IN (SELECT id FROM public.users)


-- name: remove_rows
DELETE FROM public.feature_usage_archive AS month
 WHERE month.period_start = %(month)s
   AND (month.user_id IS NULL OR month.user_id IN (SELECT id FROM public.users))
