-- How features were used in this month and the three before it, as of the last refresh. Of ledger
-- and archive together: what is archived meanwhile stays in the sums. Filled here and now, so that
-- REFRESH … CONCURRENTLY works from the start.
DROP MATERIALIZED VIEW IF EXISTS public.feature_usage_summary;

CREATE MATERIALIZED VIEW public.feature_usage_summary AS
SELECT used.feature,
       used.period_start,
       count(*)                                                   AS unique_users,
       sum(used.usage_count)::bigint                              AS total_usage,
       round(avg(used.usage_count), 2)                            AS avg_usage_per_user,
       max(used.usage_count)::bigint                              AS max_usage,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY used.usage_count::double precision)
                                                                  AS median_usage
  FROM (SELECT known.user_id, known.feature, known.period_start,
               sum(coalesce(known.usage_count, 0)) AS usage_count
          FROM (SELECT live.user_id, live.feature, live.period_start, live.usage_count
                  FROM public.feature_usage AS live
                UNION ALL
                SELECT kept.user_id, kept.feature, kept.period_start, kept.usage_count
                  FROM public.feature_usage_archive AS kept) AS known
         WHERE known.user_id IS NOT NULL
           AND known.period_start >=
               (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '3 months')::date
           AND known.period_start <= date_trunc('month', now() AT TIME ZONE 'UTC')::date
         GROUP BY known.user_id, known.feature, known.period_start) AS used
 GROUP BY used.feature, used.period_start;

-- Nobody knows the view yet.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX feature_usage_summary_key
    ON public.feature_usage_summary (feature, period_start);

-- Whoever may read the months may read what is made of them.
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                             ELSE held.grantee::regrole::text END
          FROM pg_catalog.pg_class
         CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
         WHERE oid = 'public.feature_usage'::regclass
           AND held.privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT ON public.feature_usage_summary TO %s', grantee);
    END LOOP;
END
$$;
