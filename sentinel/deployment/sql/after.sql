-- What is to be seen after a deployment.


-- name: newest_users_threads
-- The guide's first check, with the truth beside it: the newest user's newest threads.
SELECT thread.id,
       thread.thread_messages_count,
       (SELECT count(*) FROM public.chat_messages AS message WHERE message.thread_id = thread.id)
  FROM public.chat_threads AS thread
 WHERE thread.user_id = (SELECT newest.id
                           FROM public.users AS newest
                          ORDER BY newest.created_at DESC
                          LIMIT 1)
 ORDER BY thread.created_at DESC
 LIMIT 5


-- name: recent_usage
-- The guide's second check: months of usage that were written in the last ten minutes.
SELECT usage.feature, count(*)
  FROM public.feature_usage AS usage
 WHERE usage.period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date
   AND usage.updated_at > now() - interval '10 minutes'
 GROUP BY usage.feature
 ORDER BY usage.feature


-- name: increment_function
-- Whether the guide's function is there, and a user to try it on.
SELECT to_regprocedure('public.increment_feature_usage_safe(integer, character varying, integer)')
           IS NOT NULL,
       (SELECT min(id) FROM public.users)


-- name: increment
-- The guide's third check.
SELECT public.increment_feature_usage_safe(%(user)s, 'test_verification', 1)


-- name: all_uses
-- All that was ever counted, to see that nothing of the check stays.
SELECT count(*), coalesce(sum(usage.usage_count), 0) FROM public.feature_usage AS usage


-- name: legacy_trigger
-- The trigger that counted before us, where it still fires.
SELECT count(*)
  FROM pg_trigger AS trigger
 WHERE trigger.tgrelid = to_regclass('public.chat_messages')
   AND trigger.tgname = 'thread_message_added'
   AND trigger.tgenabled <> 'D'


-- name: guide_index
-- One index by its name.
SELECT index.indisvalid AND index.indisready,
       coalesce(pg_stat_get_numscans(index.indexrelid), 0),
       pg_relation_size(index.indexrelid)
  FROM pg_index AS index
 WHERE index.indexrelid = to_regclass('public.' || %(name)s)


-- name: usage_growth
-- The guide's monitor: how many use what this month.
SELECT usage.feature, count(DISTINCT usage.user_id), coalesce(sum(usage.usage_count), 0)
  FROM public.feature_usage AS usage
 WHERE usage.period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date
 GROUP BY usage.feature
 ORDER BY 3 DESC, 1
