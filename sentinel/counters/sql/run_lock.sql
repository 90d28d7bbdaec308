-- The lock that keeps two runs of a kind apart, such as two repairs.


-- name: outlast_timeouts
-- The transaction lasts as long as the run, whatever limits the role or the server has. Which of
-- these settings there are depends on the server's version.
SELECT set_config(name, '0', true)
  FROM pg_settings
 WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')


-- name: try_lock
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)), pg_backend_pid()
