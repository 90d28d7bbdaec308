-- Plans' limits and overrides hold what people decided, and stay.
DROP FUNCTION IF EXISTS
    public.use_feature(integer, varchar, integer, text, integer, text[], boolean, boolean, boolean,
                       text, timestamptz),
    public.use_feature_or_raise(integer, varchar, integer, text, integer, text[], boolean, boolean,
                                text, timestamptz),
    public.feature_used(integer, varchar, text, timestamptz),
    public.feature_resets_at(text, timestamptz),
    public.required_plan(varchar, integer, text[], text),
    public.feature_limit(integer, varchar, timestamptz),
    public.find_limit(integer, varchar, timestamptz);
DROP TYPE IF EXISTS public.feature_use;
