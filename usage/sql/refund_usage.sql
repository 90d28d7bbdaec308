-- Gives back what an event counted.
SELECT public.refund_feature_usage(event_id => %(event_id)s::bigint, reason => %(reason)s::text)
