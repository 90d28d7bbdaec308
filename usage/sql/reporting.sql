-- What the reports ask. Words in braces become other queries of this file.
--
-- Rows without a user, which the production schema allows, are nobody's and are left out. Values:
-- month and next_month (first days), plan (NULL: all), now,
-- first and last (user ids; NULL: all).


-- name: one_snapshot
-- For the report's transaction alone: its figures are to agree with each other.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY


-- name: more_memory
-- For that transaction too: the sums of 100,000 users take some 40 MB, and the default of 4 MB would
-- have them written to disk and read again.
SET LOCAL work_mem = '64MB'


-- name: months
-- The months that have usage, ledger and archive together: one look into an index for each, however
-- many rows they have.
WITH RECURSIVE earlier AS (
    SELECT greatest((SELECT max(period_start) FROM public.feature_usage),
                    (SELECT max(period_start) FROM public.feature_usage_archive)) AS day
    UNION ALL
    SELECT greatest((SELECT max(period_start)
                       FROM public.feature_usage
                      WHERE period_start < date_trunc('month', earlier.day)::date),
                    (SELECT max(period_start)
                       FROM public.feature_usage_archive
                      WHERE period_start < date_trunc('month', earlier.day)::date))
      FROM earlier
     WHERE earlier.day IS NOT NULL
)
SELECT date_trunc('month', earlier.day)::date
  FROM earlier
 WHERE earlier.day IS NOT NULL


-- name: used
-- What each user has used of each feature in the month. A late event makes a row of a month that is
-- archived: the two are one.
SELECT known.user_id, known.feature, sum(known.uses)::bigint AS uses, max(known.updated_at) AS last_at,
       bool_or(known.archived) AS archived
  FROM (SELECT live.user_id, live.feature, coalesce(live.usage_count, 0) AS uses,
               live.updated_at, false AS archived
          FROM public.feature_usage AS live
         WHERE live.period_start >= %(month)s::date AND live.period_start < %(next_month)s::date
           AND (%(last)s::integer IS NULL OR live.user_id BETWEEN %(first)s AND %(last)s)
        UNION ALL
        SELECT kept.user_id, kept.feature, coalesce(kept.usage_count, 0), kept.updated_at, true
          FROM public.feature_usage_archive AS kept
         WHERE kept.period_start >= %(month)s::date AND kept.period_start < %(next_month)s::date
           AND (%(last)s::integer IS NULL OR kept.user_id BETWEEN %(first)s AND %(last)s)
       ) AS known
 WHERE known.user_id IS NOT NULL
 GROUP BY known.user_id, known.feature


-- name: members
-- Users with the plan that holds at the moment: see feature_limit.
SELECT users.id, users.name, users.email,
       CASE WHEN users.is_trial
             AND users.trial_ends_at <= %(now)s::timestamptz AT TIME ZONE 'UTC'
            THEN 'FREE'
            ELSE coalesce(users.plan, 'FREE')
       END AS plan
  FROM public.users


-- name: of_plan
-- The users of the plan.
SELECT member.id FROM ({members}) AS member WHERE member.plan = %(plan)s


-- name: features
SELECT used.feature, sum(used.uses)::bigint, count(*) FILTER (WHERE used.uses > 0),
       bool_or(used.archived)
  FROM ({used}) AS used
 WHERE %(plan)s::text IS NULL OR used.user_id IN ({of_plan})
 GROUP BY used.feature
 ORDER BY 2 DESC, 1


-- name: users
-- Who used something, and of how many features. The last column is how many there are in all.
SELECT used.user_id, sum(used.uses)::bigint AS uses, count(*) FILTER (WHERE used.uses > 0) AS features,
       max(used.last_at) AS last_at, count(*) OVER () AS users
  FROM ({used}) AS used
 WHERE %(plan)s::text IS NULL OR used.user_id IN ({of_plan})
 GROUP BY used.user_id
HAVING count(*) FILTER (WHERE used.uses > 0) > 0


-- name: most_active
-- Names are looked up for those alone who are shown.
SELECT found.user_id, member.name, member.email, member.plan, found.uses, found.features,
       found.last_at, found.users
  FROM (SELECT by_uses.* FROM ({users}) AS by_uses ORDER BY by_uses.uses DESC, by_uses.user_id
         LIMIT %(listed)s) AS found
  LEFT JOIN ({members}) AS member ON member.id = found.user_id
 ORDER BY found.uses DESC, found.user_id


-- name: users_by_id
SELECT found.user_id, member.name, member.email, member.plan, found.uses, found.features,
       found.last_at
  FROM ({users}) AS found
  LEFT JOIN ({members}) AS member ON member.id = found.user_id
 ORDER BY found.user_id


-- name: limits
-- Who has used 80 % or more of a limit of the month. Limits for something else, of 0 and of NULL
-- (unlimited) are none that a month comes near to. See feature_limit.
SELECT used.user_id, member.name, member.email, member.plan, used.feature, used.uses::bigint,
       allowed.usage_limit, special.id IS NOT NULL AS overridden
  FROM ({used}) AS used
  JOIN ({members}) AS member ON member.id = used.user_id
  LEFT JOIN public.feature_plan_limits AS usual
    ON usual.plan = member.plan AND usual.feature = used.feature
  LEFT JOIN public.feature_limit_overrides AS special
    ON special.user_id = used.user_id AND special.feature = used.feature
   AND (special.until IS NULL OR special.until > %(now)s::timestamptz)
 CROSS JOIN LATERAL (
    SELECT CASE WHEN coalesce(special.per, usual.per) = 'month'
                THEN CASE WHEN special.id IS NULL THEN usual.usage_limit
                          ELSE special.usage_limit END
           END AS usage_limit
 ) AS allowed
 WHERE allowed.usage_limit > 0
   AND used.uses * 100 >= allowed.usage_limit::bigint * 80
   AND (%(plan)s::text IS NULL OR member.plan = %(plan)s)


-- name: nearest_limits
-- The first lines, and beside each: how many lines there are, how many users are near a limit and at
-- none, and how many are at one. One row of NULLs where there is no line.
WITH line AS MATERIALIZED ({limits})
SELECT counted.lines::integer, counted.near, counted.at, shown.*
  FROM (SELECT coalesce(sum(by_user.lines), 0) AS lines,
               count(*) FILTER (WHERE NOT by_user.is_at) AS near,
               count(*) FILTER (WHERE by_user.is_at) AS at
          FROM (SELECT count(*) AS lines, bool_or(line.uses >= line.usage_limit) AS is_at
                  FROM line
                 GROUP BY line.user_id) AS by_user) AS counted
  LEFT JOIN (SELECT line.*
               FROM line
              ORDER BY line.uses::numeric / line.usage_limit DESC, line.user_id, line.feature
              LIMIT %(listed)s) AS shown ON true
 ORDER BY shown.uses::numeric / shown.usage_limit DESC, shown.user_id, shown.feature


-- name: limits_by_id
SELECT found.* FROM ({limits}) AS found ORDER BY found.user_id, found.feature


-- name: days
-- Uses on each day of the month and of the one before, by feature.
SELECT known.period_start, known.day, known.feature, sum(known.uses)::bigint
  FROM public.feature_usage_days AS known
 WHERE known.period_start IN (%(month)s::date, %(previous)s::date)
   AND (%(plan)s::text IS NULL OR known.plan = %(plan)s)
 GROUP BY known.period_start, known.day, known.feature


-- name: before
-- Of the month before, up to the same day: active users, who was near or at a limit, who was at one,
-- refusals. Then when the two months were counted, and since when refusals are.
SELECT coalesce(sum(came.new_users), 0)::integer, coalesce(sum(came.came_near), 0)::integer,
       coalesce(sum(came.came_to), 0)::integer,
       (SELECT coalesce(sum(refused.refusals), 0)::bigint
          FROM public.feature_usage_refusals AS refused
         WHERE refused.day BETWEEN %(previous)s::date AND %(previous_through)s::date
           AND (%(plan)s::text IS NULL OR refused.plan = %(plan)s)),
       (SELECT counted.counted_at
          FROM public.feature_usage_counted_months AS counted
         WHERE counted.period_start = %(month)s::date),
       (SELECT counted.counted_at
          FROM public.feature_usage_counted_months AS counted
         WHERE counted.period_start = %(previous)s::date),
       (SELECT min(refused.day) FROM public.feature_usage_refusals AS refused)
  FROM public.feature_usage_user_days AS came
 WHERE came.period_start = %(previous)s::date
   AND came.day <= %(previous_through)s::date
   AND (%(plan)s::text IS NULL OR came.plan = %(plan)s)


-- name: refused
SELECT refused.feature, refused.plan, sum(refused.refusals)::bigint,
       count(DISTINCT refused.user_id), max(refused.last_at)
  FROM public.feature_usage_refusals AS refused
 WHERE refused.day >= %(month)s::date AND refused.day < %(next_month)s::date
   AND (%(plan)s::text IS NULL OR refused.plan = %(plan)s)
   AND (%(user_id)s::integer IS NULL OR refused.user_id = %(user_id)s)
 GROUP BY refused.feature, refused.plan
 ORDER BY 3 DESC, 1, 2


-- name: next_users
-- The last of the next users who have rows in the month, in the order of their ids.
SELECT max(following.user_id)
  FROM (SELECT live.user_id
          FROM public.feature_usage AS live
         WHERE live.user_id > %(after)s
           AND live.period_start >= %(month)s::date AND live.period_start < %(next_month)s::date
         UNION
        SELECT kept.user_id
          FROM public.feature_usage_archive AS kept
         WHERE kept.user_id > %(after)s
           AND kept.period_start >= %(month)s::date AND kept.period_start < %(next_month)s::date
         ORDER BY 1
         LIMIT %(size)s) AS following


-- name: history
SELECT date_trunc('month', known.period_start)::date, known.feature, sum(known.uses)::bigint,
       bool_or(known.archived)
  FROM (SELECT live.period_start, live.feature, coalesce(live.usage_count, 0) AS uses,
               false AS archived
          FROM public.feature_usage AS live
         WHERE live.user_id = %(user_id)s
        UNION ALL
        SELECT kept.period_start, kept.feature, coalesce(kept.usage_count, 0), true
          FROM public.feature_usage_archive AS kept
         WHERE kept.user_id = %(user_id)s) AS known
 GROUP BY 1, known.feature
 ORDER BY 1 DESC, 3 DESC, known.feature


-- name: events
-- The user's last events, looked up by the rows of the last two months that the ledger has: by the
-- order of their ids alone, the ledger would be read from its end for somebody who has gone.
WITH event AS MATERIALIZED (
    SELECT event.id, event.period_start, event.feature, event.quantity, event.occurred_at,
           event.source, event.reason, event.adopted
      FROM (SELECT DISTINCT live.period_start
              FROM public.feature_usage AS live
             WHERE live.user_id = %(user_id)s
             ORDER BY live.period_start DESC
             LIMIT 2) AS recent
      JOIN public.feature_usage AS month
        ON month.user_id = %(user_id)s AND month.period_start = recent.period_start
      JOIN public.feature_usage_events AS event
        ON event.user_id = %(user_id)s AND event.feature = month.feature
       AND event.period_start = month.period_start
)
SELECT event.* FROM event ORDER BY event.occurred_at DESC, event.id DESC LIMIT %(listed)s


-- name: count_days
SELECT public.count_feature_usage_days(%(month)s::date, %(now)s::timestamptz)


-- name: forget_refusals
DELETE FROM public.feature_usage_refusals WHERE day < %(before)s::date
