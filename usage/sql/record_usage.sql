-- Counts uses of a feature without a limit.
SELECT admission.event_id, admission.duplicate, admission.used_after
  FROM public.admit_feature_usage(
           user_id => %(user_id)s::integer,
           feature => %(feature)s::varchar,
           quantity => %(quantity)s::integer,
           usage_limit => NULL,
           idempotency_key => %(key)s::text,
           source => %(source)s::text,
           occurred_at => coalesce(%(occurred_at)s::timestamptz, now())
       ) AS admission
