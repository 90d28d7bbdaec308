DROP FUNCTION IF EXISTS public.get_user_feature_usage(integer);
DROP FUNCTION IF EXISTS public.get_feature_usage(integer, varchar);
DROP FUNCTION IF EXISTS public.increment_feature_usage_safe(integer, varchar, integer);
DROP FUNCTION IF EXISTS public.refund_feature_usage(bigint, text);
DROP FUNCTION IF EXISTS public.admit_lifetime_usage(
    integer, varchar, integer, integer, text, text, timestamptz);
DROP FUNCTION IF EXISTS public.admit_feature_usage(
    integer, varchar, integer, integer, text, text, timestamptz);
DROP FUNCTION IF EXISTS public.admit_usage(
    integer, varchar, integer, integer, text, text, timestamptz, boolean);
DROP FUNCTION IF EXISTS public.find_usage_event(integer, text);
