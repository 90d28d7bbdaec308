-- What a user is allowed and has used: one row a feature, in the order in which they are given.
-- The word in braces becomes what the apps above have registered: feature, number.
SELECT feature.name, allowed.plan, allowed.usage_limit, allowed.per, allowed.tier,
       allowed.overridden,
       CASE WHEN allowed.per = 'account'
            THEN held.number
            ELSE public.feature_used(%(user_id)s::integer, feature.name, allowed.per, moment.at)
       END AS used,
       public.feature_resets_at(allowed.per, moment.at) AS resets_at
  FROM (SELECT coalesce(%(now)s::timestamptz, now())) AS moment (at)
 CROSS JOIN unnest(%(features)s::text[]) WITH ORDINALITY AS feature (name, place)
 CROSS JOIN LATERAL public.feature_limit(
           %(user_id)s::integer, feature.name, moment.at
       ) AS allowed
  LEFT JOIN ({held}) AS held (feature, number) ON held.feature = feature.name
 ORDER BY feature.place
