-- What the commands around the archive ask. The moving itself is done by the functions of
-- migrations/sql/0004_archive_functions.sql, which archive_old_feature_usage uses as well.


-- name: begin_run
SELECT public.begin_usage_archive(%(before)s, %(host)s, %(process)s)


-- name: end_run
SELECT public.end_usage_archive(%(run)s, %(state)s, %(error)s)


-- name: find_running
-- The run that is under way, as a sentence wants it.
SELECT id, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), database_user,
       host, process, rows_moved
  FROM public.feature_usage_archive_runs
 WHERE state = 'running'
 ORDER BY id DESC
 LIMIT 1


-- name: list_batches
-- The rows of each batch, as the text of an array.
SELECT batch.period_start, batch.ids::text, cardinality(batch.ids)
  FROM public.list_usage_batches(%(before)s, %(batch_size)s) AS batch


-- name: move_batch
SELECT moved.rows_moved, moved.events_moved
  FROM public.archive_usage_batch(%(run)s, %(before)s, %(ids)s::integer[]) AS moved


-- name: preview
-- What would be moved, by month.
SELECT month.period_start, count(*), coalesce(sum(month.usage_count), 0)
  FROM public.feature_usage AS month
 WHERE month.period_start < %(before)s
 GROUP BY month.period_start
 ORDER BY month.period_start


-- name: patience
-- For the transaction alone. Locking and moving are two statements with a snapshot each.
SELECT set_config('lock_timeout', %(lock_timeout)s, true)


-- name: status
-- The last run, whether one was complete this month, and whether months wait for it.
SELECT last.id, last.state, last.started_at, last.error,
       EXISTS (SELECT
                 FROM public.feature_usage_archive_runs AS run
                WHERE run.state = 'complete' AND run.started_at >= %(since)s),
       EXISTS (SELECT FROM public.feature_usage AS month WHERE month.period_start < %(before)s)
  FROM (SELECT) AS always
  LEFT JOIN (SELECT run.*
               FROM public.feature_usage_archive_runs AS run
              ORDER BY run.id DESC
              LIMIT 1) AS last ON true
