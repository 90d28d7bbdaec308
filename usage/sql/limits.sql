-- What a user is allowed: one row a feature, in the order in which the features are given.
SELECT feature.name, allowed.plan, allowed.usage_limit, allowed.per, allowed.tier,
       allowed.overridden
  FROM unnest(%(features)s::text[]) WITH ORDINALITY AS feature (name, place)
 CROSS JOIN LATERAL public.feature_limit(
           %(user_id)s::integer, feature.name, coalesce(%(now)s::timestamptz, now())
       ) AS allowed
 ORDER BY feature.place
