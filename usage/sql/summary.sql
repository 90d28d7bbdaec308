-- The refresh of feature_usage_summary.


-- name: patience
-- For the transaction alone.
SELECT set_config('lock_timeout', %s, true)


-- name: try_lock
SELECT pg_try_advisory_xact_lock(hashtextextended('sentinel.summary', 0))


-- name: refresh
REFRESH MATERIALIZED VIEW CONCURRENTLY public.feature_usage_summary
