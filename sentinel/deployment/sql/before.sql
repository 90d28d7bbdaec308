-- What is to be known before a deployment. Runs on the deployed system's schema as it stands.


-- name: legacy_tables
-- The tables that the migrations change or refer to, and whether we have their owner's rights.
SELECT relation.relname,
       pg_get_userbyid(relation.relowner),
       pg_has_role(relation.relowner, 'USAGE'),
       pg_total_relation_size(relation.oid)
  FROM pg_class AS relation
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
 WHERE schema.nspname = 'public'
   AND relation.relkind = 'r'
   AND relation.relname = ANY (%(tables)s)
 ORDER BY relation.relname


-- name: rights
-- Whether we may create tables and functions, temporary functions for the migrations' checks, and
-- functions that carry the engine's setting: without it PostgreSQL refuses the triggers.
SELECT current_user::text,
       has_schema_privilege('public', 'CREATE'),
       has_database_privilege(current_database(), 'TEMPORARY'),
       has_parameter_privilege('sentinel.engine', 'SET')


-- name: server
SELECT current_setting('server_version'),
       current_setting('server_version_num')::int / 10000,
       pg_is_in_recovery(),
       pg_database_size(current_database())


-- name: long_transactions
-- Transactions that have been open for longer than so many seconds, prepared ones among them. A
-- migration's ALTER TABLE waits for them, and everybody else waits behind it.
SELECT activity.pid::text,
       coalesce(activity.usename, ''),
       coalesce(activity.state, ''),
       extract(epoch FROM clock_timestamp() - activity.xact_start)::int AS seconds,
       left(regexp_replace(activity.query, '\s+', ' ', 'g'), 60)
  FROM pg_stat_activity AS activity
 WHERE activity.datname = current_database()
   AND activity.pid <> pg_backend_pid()
   AND activity.backend_type = 'client backend'
   AND activity.xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
 UNION ALL
SELECT prepared.gid, prepared.owner, 'prepared',
       extract(epoch FROM clock_timestamp() - prepared.prepared)::int, ''
  FROM pg_prepared_xacts AS prepared
 WHERE prepared.database = current_database()
   AND prepared.prepared < clock_timestamp() - make_interval(secs => %(seconds)s)
 ORDER BY seconds DESC


-- name: hidden_sessions
-- Sessions of other roles, of which the server tells us nothing but that they are there.
SELECT count(*)
  FROM pg_stat_activity AS activity
 WHERE activity.datname = current_database()
   AND activity.query = '<insufficient privilege>'


-- name: thread_drift
-- The legacy counter beside the messages, before any column of ours is there.
SELECT count(*),
       count(*) FILTER (WHERE thread.message_count IS DISTINCT FROM coalesce(counted.actual, 0)),
       count(*) FILTER (WHERE thread.message_count IS NULL),
       coalesce(max(abs(coalesce(thread.message_count, 0) - coalesce(counted.actual, 0))), 0)
  FROM public.chat_threads AS thread
  LEFT JOIN (SELECT message.thread_id, count(*) AS actual
               FROM public.chat_messages AS message
              GROUP BY message.thread_id) AS counted
    ON counted.thread_id = thread.id


-- name: malformed_waypoints
-- Itineraries of which the waypoints are no array: the guide's own expression stops at most of them.
-- Rows that have none at all are well-formed.
SELECT itinerary.id,
       CASE WHEN jsonb_typeof(itinerary.data) <> 'object'
            THEN 'data is ' || jsonb_typeof(itinerary.data)
            ELSE 'waypoints is ' || jsonb_typeof(itinerary.data -> 'waypoints')
        END,
       count(*) OVER ()
  FROM public.travel_itineraries AS itinerary
 WHERE jsonb_typeof(itinerary.data) <> 'object'
    OR jsonb_typeof(itinerary.data -> 'waypoints') <> 'array'
 ORDER BY itinerary.id
 LIMIT %(limit)s
