-- What a user is allowed, and whether a use is.
--
-- Nothing here counts: that is what admit_usage does, under the lock of the row that it compares.
-- Parameters are named with their function where a column has the same name.


-- How much of a feature a user is allowed at a moment: by an override that is still valid, or else
-- by the plan. A trial that has ended is FREE. A limit of NULL is unlimited, 0 is not there, which
-- is also what a feature without a row in the plan is.
--
-- This is the body of feature_limit, which runs it with its owner's rights.
CREATE OR REPLACE FUNCTION public.find_limit(
    user_id         integer,
    feature         varchar,
    moment          timestamptz,
    OUT plan        text,
    OUT usage_limit integer,
    OUT per         text,
    OUT tier        text,
    OUT overridden  boolean
)
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    -- trial_ends_at is a timestamp without zone that holds UTC.
    SELECT CASE WHEN users.is_trial AND users.trial_ends_at <= moment AT TIME ZONE 'UTC'
                THEN 'FREE'
                ELSE coalesce(users.plan, 'FREE')
           END
      INTO find_limit.plan
      FROM public.users
     WHERE users.id = find_limit.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no user %', coalesce(find_limit.user_id::text, 'NULL')
            USING ERRCODE = 'foreign_key_violation';
    END IF;

    SELECT CASE WHEN special.id IS NOT NULL THEN special.usage_limit
                WHEN usual.id IS NOT NULL THEN usual.usage_limit
                ELSE 0
           END,
           coalesce(special.per, usual.per)::text,
           coalesce(special.tier, usual.tier)::text,
           special.id IS NOT NULL
      INTO usage_limit, per, tier, overridden
      FROM (SELECT) AS always
      LEFT JOIN public.feature_plan_limits AS usual
        ON usual.plan = find_limit.plan
       AND usual.feature = find_limit.feature
      LEFT JOIN public.feature_limit_overrides AS special
        ON special.user_id = find_limit.user_id
       AND special.feature = find_limit.feature
       AND (special.until IS NULL OR special.until > moment);
END
$function$;


CREATE OR REPLACE FUNCTION public.feature_limit(
    user_id integer,
    feature varchar,
    moment  timestamptz DEFAULT now()
) RETURNS TABLE (plan text, usage_limit integer, per text, tier text, overridden boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY SELECT * FROM public.find_limit(user_id, feature, moment);
END
$function$;


-- The cheapest plan that allows so much of a feature, or one of these tiers; NULL where none does.
-- Where a plan is given, only those that cost more are looked at: what to move up to.
CREATE OR REPLACE FUNCTION public.required_plan(
    feature varchar,
    needed  integer DEFAULT 1,
    tiers   text[] DEFAULT NULL,
    above   text DEFAULT NULL
) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
    SELECT plans.name
      FROM public.plans
      JOIN public.feature_plan_limits AS limits ON limits.plan = plans.name
     WHERE limits.feature = required_plan.feature
       AND (limits.usage_limit IS NULL OR limits.usage_limit >= greatest(needed, 1))
       AND (tiers IS NULL OR limits.tier = ANY (tiers))
       AND (above IS NULL
            OR (plans.price_cents, plans.name) > (SELECT own.price_cents, own.name
                                                    FROM public.plans AS own
                                                   WHERE own.name = above))
     ORDER BY plans.price_cents, plans.name
     LIMIT 1
$function$;


-- When a limit starts anew: the first moment of the next month in UTC, or never.
CREATE OR REPLACE FUNCTION public.feature_resets_at(per text, moment timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE
AS $function$
    SELECT CASE WHEN per = 'month'
                THEN (date_trunc('month', moment AT TIME ZONE 'UTC') + interval '1 month')
                     AT TIME ZONE 'UTC'
           END
$function$;


-- How much of a feature was used in the month of this moment, or in the lifetime of the account.
-- NULL where a limit is for something else, which the ledger does not count.
CREATE OR REPLACE FUNCTION public.feature_used(
    user_id integer,
    feature varchar,
    per     text,
    moment  timestamptz
) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF per = 'lifetime' THEN
        RETURN (SELECT coalesce(CASE feature_used.feature
                                    WHEN 'chat_messages_monthly' THEN lifetime_chat_messages
                                    WHEN 'travel_assessments_monthly'
                                        THEN lifetime_travel_assessments
                                END, 0)
                  FROM public.users
                 WHERE users.id = feature_used.user_id);
    ELSIF per = 'month' THEN
        RETURN coalesce(
            (SELECT counted.usage_count
               FROM public.feature_usage AS counted
              WHERE counted.user_id = feature_used.user_id
                AND counted.feature = (SELECT feature_used.feature)  -- see 0002_functions.sql
                AND counted.period_start
                    = (SELECT date_trunc('month', moment AT TIME ZONE 'UTC')::date)),
            0);
    END IF;
    RETURN NULL;
END
$function$;


-- What came of a use. See use_feature.
DO $$
BEGIN
    IF to_regtype('public.feature_use') IS NULL THEN
        CREATE TYPE public.feature_use AS (
            admitted       boolean,
            reason         text,         -- why not: 'disabled', 'limit', 'tier'; NULL if admitted
            plan           text,         -- the user's, at that moment
            required_plan  text,         -- the cheapest that would admit it; NULL: none, or admitted
            usage_limit    integer,      -- NULL: unlimited
            per            text,         -- what the limit is for; NULL: nothing is counted
            tier           text,
            overridden     boolean,      -- the limit is the user's own, not the plan's
            used_before    integer,      -- in the month or lifetime; NULL for other limits
            used_after     integer,
            resets_at      timestamptz,
            duplicate      boolean,      -- the key had been used: nothing was counted again
            event_id       bigint,       -- in the ledger; NULL where nothing was recorded
            tracking_error text,         -- what the database said
            error_in       text          -- 'limit': not checked; 'tracking': not recorded
        );
    END IF;
END
$$;


-- Check and record one use, or raise. use_feature is the way in.
CREATE OR REPLACE FUNCTION public.use_feature_or_raise(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    idempotency_key text,
    asked           integer,
    tiers           text[],
    track           boolean,
    enforce         boolean,
    source          text,
    moment          timestamptz
) RETURNS public.feature_use
LANGUAGE plpgsql
AS $function$
DECLARE
    outcome    public.feature_use;
    allowed    record;
    recorded   record;
    counted    boolean;
    wrong_tier boolean;
    needed     bigint := asked;
BEGIN
    allowed := public.find_limit(user_id, feature, moment);
    outcome.plan := allowed.plan;
    outcome.usage_limit := allowed.usage_limit;
    outcome.per := allowed.per;
    outcome.tier := allowed.tier;
    outcome.overridden := allowed.overridden;

    counted := coalesce(outcome.per IN ('month', 'lifetime'), false);
    wrong_tier := tiers IS NOT NULL AND NOT coalesce(outcome.tier = ANY (tiers), false);
    outcome.duplicate := false;
    outcome.reason := CASE
        WHEN outcome.usage_limit = 0 THEN 'disabled'
        WHEN wrong_tier THEN 'tier'
        WHEN NOT counted AND asked > outcome.usage_limit THEN 'limit'
    END;

    IF counted THEN
        outcome.resets_at := public.feature_resets_at(outcome.per, moment);
        IF track AND asked > 0 AND NOT (wrong_tier AND enforce) THEN
            -- Compares again and counts, under a lock. A key that was used is admitted as it was
            -- then, whatever the limit is now.
            recorded := public.admit_usage(
                user_id, feature, asked, CASE WHEN enforce THEN outcome.usage_limit END,
                idempotency_key, source, moment, outcome.per = 'lifetime');
            outcome.used_before := recorded.used_before;
            outcome.used_after := recorded.used_after;
            outcome.duplicate := recorded.duplicate;
            outcome.event_id := recorded.event_id;
        ELSE
            outcome.used_before := public.feature_used(user_id, feature, outcome.per, moment);
            outcome.used_after := outcome.used_before;
        END IF;
        needed := outcome.used_before::bigint + asked;
        IF outcome.duplicate THEN
            outcome.reason := NULL;
        ELSIF outcome.reason IS NULL AND asked > 0 AND needed > outcome.usage_limit THEN
            outcome.reason := 'limit';
        END IF;
    ELSIF track AND (outcome.reason IS NULL OR NOT enforce) THEN
        recorded := public.admit_usage(
            user_id, feature, quantity, NULL, idempotency_key, source, moment, false);
        outcome.duplicate := recorded.duplicate;
        outcome.event_id := recorded.event_id;
    END IF;

    outcome.admitted := outcome.reason IS NULL OR NOT enforce;
    IF outcome.reason IS NOT NULL AND NOT outcome.overridden THEN
        -- Plans above FREE limit the month, not the lifetime: ask them for the month.
        IF outcome.per = 'lifetime' THEN
            needed := public.feature_used(user_id, feature, 'month', moment)::bigint + asked;
        END IF;
        outcome.required_plan := public.required_plan(
            feature, least(needed, 2147483647)::integer, tiers, outcome.plan);
    END IF;
    RETURN outcome;
END
$function$;


-- Check a use of a feature against the user's limit and record it, in one call.
--
-- quantity         how many uses are recorded where the limit is not one of uses
-- idempotency_key  of the user's; one that was used before counts nothing
-- provided         how much is asked for: uses, where these are limited; otherwise how much of it
--                  there would be (destinations of the trip, threads of the user). NULL: quantity
-- tiers            which words of a tiered feature will do; NULL: any
-- track            false: compare only, write nothing
-- enforce          false: admit and record whatever the limit; reason says what it would have been
-- tolerant         true: an error is no error of the statement, but returned. If the use could not
--                  be recorded, the limit is checked without it. This costs a subtransaction.
-- source           where from, for the ledger
-- moment           when
--
-- Raises for an unknown user (23503), and for a quantity below 1 or a provided below 0 (22023), the
-- last two also where tolerant: they are mistakes of the caller.
CREATE OR REPLACE FUNCTION public.use_feature(
    user_id         integer,
    feature         varchar,
    quantity        integer DEFAULT 1,
    idempotency_key text DEFAULT NULL,
    provided        integer DEFAULT NULL,
    tiers           text[] DEFAULT NULL,
    track           boolean DEFAULT true,
    enforce         boolean DEFAULT true,
    tolerant        boolean DEFAULT false,
    source          text DEFAULT 'consume',
    moment          timestamptz DEFAULT now()
) RETURNS public.feature_use
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
DECLARE
    outcome public.feature_use;
    problem text;
    asked   CONSTANT integer := coalesce(provided, quantity);
BEGIN
    IF quantity IS NULL OR quantity < 1 THEN
        RAISE EXCEPTION 'a quantity of % cannot be used', coalesce(quantity::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 or more.';
    ELSIF asked < 0 THEN
        RAISE EXCEPTION 'there cannot be % of a feature', asked
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 0 or more.';
    ELSIF track IS NULL OR enforce IS NULL OR tolerant IS NULL OR moment IS NULL THEN
        RAISE EXCEPTION 'track, enforce, tolerant and moment cannot be NULL'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;

    IF NOT tolerant THEN
        RETURN public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                           tiers, track, enforce, source, moment);
    END IF;

    BEGIN
        RETURN public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                           tiers, track, enforce, source, moment);
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
    END;

    -- What failed, the check or the record?
    BEGIN
        outcome := public.use_feature_or_raise(user_id, feature, quantity, idempotency_key, asked,
                                               tiers, false, enforce, source, moment);
        outcome.error_in := 'tracking';
    EXCEPTION WHEN OTHERS THEN
        outcome := NULL;
        outcome.admitted := NOT enforce;
        outcome.duplicate := false;
        outcome.error_in := 'limit';
    END;
    outcome.tracking_error := problem;
    RETURN outcome;
END
$function$;


REVOKE ALL ON FUNCTION
    public.find_limit(integer, varchar, timestamptz),
    public.feature_limit(integer, varchar, timestamptz),
    public.required_plan(varchar, integer, text[], text),
    public.feature_resets_at(text, timestamptz),
    public.feature_used(integer, varchar, text, timestamptz),
    public.use_feature_or_raise(integer, varchar, integer, text, integer, text[], boolean, boolean,
                                text, timestamptz),
    public.use_feature(integer, varchar, integer, text, integer, text[], boolean, boolean, boolean,
                       text, timestamptz)
FROM PUBLIC;
