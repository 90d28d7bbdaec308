-- Who keeps a migration waiting.


-- name: limit_wait
SELECT set_config('lock_timeout', %s, true), pg_backend_pid()


-- name: find_blockers
-- What a session waits for, and whose transactions it waits for. A wait for a row names the table
-- of the row; a wait for somebody's snapshot, as indexes have it, names none.
SELECT coalesce((SELECT string_agg(DISTINCT near.relation::regclass::text, ', ')
                   FROM pg_locks AS near
                  WHERE near.pid = waiting.pid
                    AND near.locktype IN ('relation', 'tuple')
                    AND (NOT near.granted OR near.locktype = 'tuple')
                    AND near.database = (SELECT oid FROM pg_database
                                          WHERE datname = current_database())),
                'other transactions'),
       blocker.pid,
       coalesce(blocker.usename, '?'),
       coalesce(nullif(blocker.application_name, ''), 'no application name'),
       coalesce(blocker.state, blocker.backend_type),
       extract(epoch FROM clock_timestamp() - blocker.xact_start)::float8,
       coalesce(left(regexp_replace(blocker.query, '\s+', ' ', 'g'), 120), '')
  FROM pg_locks AS waiting
 CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
  JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
 WHERE waiting.pid = %s
   AND NOT waiting.granted
 ORDER BY blocker.xact_start NULLS LAST, blocker.pid
 LIMIT 3
