-- The lock that keeps two runs of a kind apart, such as two repairs.


-- name: outlast_timeouts
-- The transaction lasts as long as the run, whatever limits the role or the server has. Which of
-- these settings there are depends on the server's version.
SELECT set_config(name, '0', true)
  FROM pg_settings
 WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')


-- name: try_lock
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)), pg_backend_pid()


-- name: find_holder
-- Who holds the lock of that name. It is looked up and not tried: who tries it takes it, if only for a
-- moment, and the process that comes just then finds it taken.
SELECT holder.pid,
       coalesce(holder.usename, '?'),
       coalesce(host(holder.client_addr), 'this machine'),
       extract(epoch FROM clock_timestamp() - holder.xact_start)::float8
  FROM pg_locks AS held
  JOIN pg_stat_activity AS holder ON holder.pid = held.pid
 WHERE held.locktype = 'advisory'
   AND held.granted
   AND held.objsubid = 1
   AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND held.classid::bigint << 32 | held.objid::bigint = hashtextextended(%s, 0)
