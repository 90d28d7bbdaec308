-- Who may execute the functions that count: whoever may write feature_usage anyway, and nobody
-- else. They run with their owner's rights. A role that comes later is given the same by hand:
--     GRANT EXECUTE ON FUNCTION increment_feature_usage_safe TO that_role;
DO $$
DECLARE
    function regprocedure;
    grantee  text;
BEGIN
    FOR function IN
        SELECT oid::regprocedure
          FROM pg_catalog.pg_proc
         WHERE pronamespace = 'public'::regnamespace
           AND proname IN ('find_usage_event', 'admit_usage', 'admit_feature_usage',
                           'admit_lifetime_usage', 'refund_feature_usage',
                           'increment_feature_usage_safe', 'get_feature_usage',
                           'get_user_feature_usage', 'find_limit', 'feature_limit', 'required_plan',
                           'feature_used', 'use_feature', 'use_feature_or_raise')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
        FOR grantee IN
            SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC'
                                 ELSE held.grantee::regrole::text END
              FROM pg_catalog.pg_class
             CROSS JOIN LATERAL pg_catalog.aclexplode(relacl) AS held
             WHERE oid = 'public.feature_usage'::regclass
               AND held.privilege_type IN ('INSERT', 'UPDATE')
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', function, grantee);
        END LOOP;
    END LOOP;
END
$$;
