-- Checks and records one use of a feature: one row, in the order of the fields of `Admission`.
SELECT came.admitted, came.reason, came.plan, came.required_plan, came.usage_limit, came.per,
       came.tier, came.overridden, came.used_before, came.used_after, came.resets_at,
       came.duplicate, came.event_id, came.tracking_error, came.error_in
  FROM public.use_feature(
           user_id => %(user_id)s::integer,
           feature => %(feature)s::varchar,
           quantity => %(quantity)s::integer,
           idempotency_key => %(key)s::text,
           provided => %(provided)s::integer,
           tiers => %(tiers)s::text[],
           track => %(track)s,
           enforce => %(enforce)s,
           tolerant => %(tolerant)s,
           source => %(source)s::text,
           moment => coalesce(%(now)s::timestamptz, now())
       ) AS came
