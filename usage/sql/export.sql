-- Archived months in files, and back.


-- name: months
-- What the archive holds, and the run that was the last to add to it: it names the file.
SELECT month.period_start, max(month.run_id)
  FROM public.feature_usage_archive AS month
 GROUP BY month.period_start
 ORDER BY month.period_start


-- name: snapshot
-- Figures and file are to be of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY


-- name: totals
-- What the file of a month is to hold: rows, uses, events, quantity.
SELECT (SELECT count(*) FROM public.feature_usage_archive WHERE period_start = %(month)s),
       (SELECT coalesce(sum(usage_count), 0)
          FROM public.feature_usage_archive
         WHERE period_start = %(month)s),
       (SELECT count(*) FROM public.feature_usage_events_archive WHERE period_start = %(month)s),
       (SELECT coalesce(sum(quantity), 0)
          FROM public.feature_usage_events_archive
         WHERE period_start = %(month)s)


-- name: copy_out
-- Rows and events of a month in one file; `record` tells them apart. Times are in UTC.
COPY (
    SELECT 'month' AS record, month.id::bigint, month.user_id, month.feature, month.period_start,
           month.period_end, month.usage_count, month.created_at, month.updated_at,
           NULL::integer AS quantity, NULL::timestamptz AS occurred_at,
           NULL::timestamptz AS recorded_at, NULL::varchar AS idempotency_key,
           NULL::varchar AS source, NULL::text AS reason, NULL::boolean AS adopted,
           NULL::date AS adopted_period, month.archived_at, month.run_id
      FROM public.feature_usage_archive AS month
     WHERE month.period_start = {month}
    UNION ALL
    SELECT 'event', event.id, event.user_id, event.feature, event.period_start,
           NULL, NULL, NULL, NULL,
           event.quantity, event.occurred_at, event.recorded_at, event.idempotency_key,
           event.source, event.reason, event.adopted, event.adopted_period, event.archived_at,
           event.run_id
      FROM public.feature_usage_events_archive AS event
     WHERE event.period_start = {month}
) TO STDOUT WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')


-- name: remove_month
-- Takes a month out of the archive, and tells what it was. The keys of its events stay used.
WITH gone_rows AS (
    DELETE FROM public.feature_usage_archive WHERE period_start = %(month)s RETURNING usage_count
), gone_events AS (
    DELETE FROM public.feature_usage_events_archive
     WHERE period_start = %(month)s RETURNING quantity
)
SELECT (SELECT count(*) FROM gone_rows), (SELECT coalesce(sum(usage_count), 0) FROM gone_rows),
       (SELECT count(*) FROM gone_events), (SELECT coalesce(sum(quantity), 0) FROM gone_events)


-- name: stage
-- Where a file comes to stand first: it goes with the transaction.
CREATE TEMPORARY TABLE staged_usage (
    record text NOT NULL, id bigint NOT NULL, user_id integer, feature varchar(50) NOT NULL,
    period_start date NOT NULL, period_end date, usage_count bigint, created_at timestamp,
    updated_at timestamptz, quantity integer, occurred_at timestamptz, recorded_at timestamptz,
    idempotency_key varchar(200), source varchar(50), reason text, adopted boolean,
    adopted_period date, archived_at timestamptz NOT NULL, run_id bigint NOT NULL
) ON COMMIT DROP


-- name: copy_in
COPY pg_temp.staged_usage FROM STDIN WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')


-- name: known_records
-- How many of the staged records are in the archive or in the ledger already.
SELECT (SELECT count(*)
          FROM pg_temp.staged_usage AS staged
         WHERE staged.record = 'event'
           AND (EXISTS (SELECT FROM public.feature_usage_events_archive AS event
                         WHERE event.id = staged.id)
                OR EXISTS (SELECT FROM public.feature_usage_events AS event
                            WHERE event.id = staged.id)))
     + (SELECT count(*)
          FROM pg_temp.staged_usage AS staged
         WHERE staged.record = 'month'
           AND (EXISTS (SELECT FROM public.feature_usage_archive AS month
                         WHERE month.id = staged.id)
                OR EXISTS (SELECT FROM public.feature_usage AS month WHERE month.id = staged.id)))


-- name: archive_staged_events
INSERT INTO public.feature_usage_events_archive
    (id, user_id, feature, quantity, occurred_at, recorded_at, idempotency_key, source, reason,
     adopted, adopted_period, period_start, archived_at, run_id)
SELECT id, user_id, feature, quantity, occurred_at, recorded_at, idempotency_key, source, reason,
       adopted, adopted_period, period_start, archived_at, run_id
  FROM pg_temp.staged_usage
 WHERE record = 'event'


-- name: archive_staged_months
-- A late part of the month may be in the archive already.
INSERT INTO public.feature_usage_archive AS kept
    (id, user_id, feature, usage_count, period_start, period_end, created_at, updated_at,
     archived_at, run_id)
SELECT id::integer, user_id, feature, usage_count, period_start, period_end, created_at,
       updated_at, archived_at, run_id
  FROM pg_temp.staged_usage
 WHERE record = 'month'
    ON CONFLICT (user_id, feature, period_start) DO UPDATE
   SET usage_count = coalesce(kept.usage_count, 0) + coalesce(excluded.usage_count, 0),
       created_at = least(kept.created_at, excluded.created_at),
       updated_at = greatest(kept.updated_at, excluded.updated_at)
