-- Functions that the existing application counts with.

-- A function of that name that exists stays as it is, whatever its arguments are called. Ours
-- differ from those of the deployed system in two ways: a month is one in UTC, whatever the
-- session's time zone, and an argument that makes no sense is an error.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc
                    WHERE proname = 'increment_feature_usage'
                      AND pronamespace = 'public'::regnamespace) THEN
        CREATE FUNCTION increment_feature_usage(user_id integer, feature varchar) RETURNS void
        LANGUAGE plpgsql AS $function$
        #variable_conflict use_column
        DECLARE
            asked CONSTANT record := ROW (increment_feature_usage.user_id,
                                          increment_feature_usage.feature);
            month CONSTANT date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
        BEGIN
            IF increment_feature_usage.user_id IS NULL
               OR increment_feature_usage.feature IS NULL THEN
                RAISE EXCEPTION 'increment_feature_usage%: an argument is NULL', asked
                    USING ERRCODE = 'null_value_not_allowed',
                          HINT = 'Give the id of a user and the name of a feature.';
            END IF;
            IF NOT EXISTS (SELECT FROM users AS u
                            WHERE u.id = increment_feature_usage.user_id) THEN
                RAISE EXCEPTION 'increment_feature_usage%: there is no such user', asked
                    USING ERRCODE = 'foreign_key_violation',
                          HINT = 'The first argument is the id of a row of users.';
            END IF;
            INSERT INTO feature_usage AS usage
                (user_id, feature, usage_count, period_start, period_end)
            VALUES (increment_feature_usage.user_id, increment_feature_usage.feature, 1,
                    month, (month + interval '1 month' - interval '1 day')::date)
                ON CONFLICT (user_id, feature, period_start)
                DO UPDATE SET usage_count = coalesce(usage.usage_count, 0) + 1;
        END
        $function$;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc
                    WHERE proname = 'check_feature_limit'
                      AND pronamespace = 'public'::regnamespace) THEN
        -- Whether less than the limit was used this month. Without a row nothing was.
        CREATE FUNCTION check_feature_limit(
            user_id integer, feature varchar, usage_limit integer
        ) RETURNS boolean
        LANGUAGE plpgsql STABLE AS $function$
        BEGIN
            IF check_feature_limit.user_id IS NULL OR check_feature_limit.feature IS NULL
               OR check_feature_limit.usage_limit IS NULL THEN
                RAISE EXCEPTION 'check_feature_limit(%, %, %): an argument is NULL',
                                check_feature_limit.user_id, check_feature_limit.feature,
                                check_feature_limit.usage_limit
                    USING ERRCODE = 'null_value_not_allowed',
                          HINT = 'Give the id of a user, the name of a feature, and a limit.';
            END IF;
            RETURN coalesce(
                (SELECT usage.usage_count
                   FROM feature_usage AS usage
                  WHERE usage.user_id = check_feature_limit.user_id
                    AND usage.feature = check_feature_limit.feature
                    AND usage.period_start = date_trunc('month', now() AT TIME ZONE 'UTC')::date),
                0) < check_feature_limit.usage_limit;
        END
        $function$;
    END IF;
END
$$;
