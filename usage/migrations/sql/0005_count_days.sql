-- Count the days of a month anew: uses by feature and plan, and the users who came to something.
--
-- It reads the month's events, by the block range index on their month and by the archive's index,
-- and nothing else of the ledger. An event counts on the day on which it occurred, and an adopted one,
-- which may have been written long after its month, on the month's day that is closest to it. Plans
-- and limits are those of `moment`.
--
-- Who used something is who has more uses than were given back; who has fallen below a limit by what
-- was given back has not come to it.
CREATE OR REPLACE FUNCTION public.count_feature_usage_days(
    month  date,
    moment timestamptz DEFAULT now()
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $function$
DECLARE
    first_day  CONSTANT date := date_trunc('month', count_feature_usage_days.month)::date;
    next_month CONSTANT date := (first_day + interval '1 month')::date;
BEGIN
    -- One after the other: two that fill the same month would meet at its keys.
    PERFORM pg_advisory_xact_lock(hashtextextended('sentinel.usage_days', 0));

    DELETE FROM public.feature_usage_days AS known WHERE known.period_start = first_day;
    DELETE FROM public.feature_usage_user_days AS known WHERE known.period_start = first_day;

    WITH dated AS MATERIALIZED (
        SELECT event.user_id, event.feature,
               least(greatest((event.occurred_at AT TIME ZONE 'UTC')::date, first_day),
                     next_month - 1) AS day,
               sum(event.quantity) AS uses
          FROM (SELECT live.user_id, live.feature, live.occurred_at, live.quantity
                  FROM public.feature_usage_events AS live
                 WHERE live.period_start >= first_day AND live.period_start < next_month
                UNION ALL
                SELECT kept.user_id, kept.feature, kept.occurred_at, kept.quantity
                  FROM public.feature_usage_events_archive AS kept
                 WHERE kept.period_start >= first_day AND kept.period_start < next_month) AS event
         GROUP BY event.user_id, event.feature, 3
    ), member AS MATERIALIZED (
        SELECT users.id,
               CASE WHEN users.is_trial AND users.trial_ends_at <= moment AT TIME ZONE 'UTC'
                    THEN 'FREE'
                    ELSE coalesce(users.plan, 'FREE')
               END AS plan
          FROM public.users
    ), days AS (
        INSERT INTO public.feature_usage_days (period_start, day, feature, plan, uses)
        SELECT first_day, dated.day, dated.feature, member.plan, sum(dated.uses)
          FROM dated
          LEFT JOIN member ON member.id = dated.user_id
         GROUP BY dated.day, dated.feature, member.plan
    ), running AS (
        SELECT dated.user_id, dated.feature, dated.day, dated.uses,
               sum(dated.uses) OVER (uses_of_a_user ORDER BY dated.day) AS so_far,
               sum(dated.uses) OVER uses_of_a_user AS in_all
          FROM dated
        WINDOW uses_of_a_user AS (PARTITION BY dated.user_id, dated.feature)
    ), came AS (
        SELECT member.plan,
               min(running.day) FILTER (WHERE running.uses > 0 AND running.in_all > 0) AS to_use,
               min(running.day) FILTER (WHERE running.so_far * 100 >= allowed.usage_limit * 80
                                          AND running.in_all * 100 >= allowed.usage_limit * 80)
                   AS near_limit,
               min(running.day) FILTER (WHERE running.so_far >= allowed.usage_limit
                                          AND running.in_all >= allowed.usage_limit) AS to_limit
          FROM running
          LEFT JOIN member ON member.id = running.user_id
          LEFT JOIN public.feature_plan_limits AS usual
            ON usual.plan = member.plan AND usual.feature = running.feature
          LEFT JOIN public.feature_limit_overrides AS special
            ON special.user_id = member.id AND special.feature = running.feature
           AND (special.until IS NULL OR special.until > moment)
         CROSS JOIN LATERAL (
            SELECT CASE WHEN coalesce(special.per, usual.per) = 'month'
                        THEN nullif(CASE WHEN special.id IS NULL THEN usual.usage_limit
                                         ELSE special.usage_limit END, 0)::bigint
                   END AS usage_limit
         ) AS allowed
         GROUP BY running.user_id, member.plan
    )
    INSERT INTO public.feature_usage_user_days
        (period_start, day, plan, new_users, came_near, came_to)
    SELECT first_day, step.day, came.plan, sum(step.new_users), sum(step.near), sum(step.at)
      FROM came
     CROSS JOIN LATERAL (VALUES (came.to_use, 1, 0, 0),
                                (came.near_limit, 0, 1, 0),
                                (came.to_limit, 0, 0, 1)) AS step (day, new_users, near, at)
     WHERE step.day IS NOT NULL
     GROUP BY step.day, came.plan;

    INSERT INTO public.feature_usage_counted_months AS known (period_start, counted_at)
    VALUES (first_day, moment)
        ON CONFLICT (period_start) DO UPDATE SET counted_at = excluded.counted_at;
END
$function$;

-- It is its owner's, who refreshes the summary.
REVOKE ALL ON FUNCTION public.count_feature_usage_days(date, timestamptz) FROM PUBLIC;


-- Every month that there is, once. Afterwards manage.py refresh_usage_summary counts this month and
-- the last.
DO $$
BEGIN
    PERFORM public.count_feature_usage_days(used.month)
       FROM (SELECT date_trunc('month', live.period_start)::date AS month
               FROM public.feature_usage AS live
              UNION
             SELECT date_trunc('month', kept.period_start)::date
               FROM public.feature_usage_archive AS kept) AS used;
END
$$;
