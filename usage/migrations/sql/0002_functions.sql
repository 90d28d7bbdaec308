-- Functions that count, for the existing application, operators and ours.
--
-- They run with their owner's rights, since nobody else has any on the ledger; who may execute them
-- is in grant_functions.sql. Parameters are written with their function's name before them: they are
-- called like columns.
--
-- A month and a feature are looked up as sub-selects. PostgreSQL plans with the values that it sees, and
-- of a month that has just begun its statistics say that there is hardly a row: so it would rather read
-- all rows of the month by the index on it than the one row by its key.


-- The event for which a user has used an idempotency key; NULL where the key is free. 0004 looks
-- among the archived ones as well.
CREATE OR REPLACE FUNCTION public.find_usage_event(user_id integer, idempotency_key text)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $function$
BEGIN
    RETURN (SELECT event.id
              FROM public.feature_usage_events AS event
             WHERE event.user_id = find_usage_event.user_id
               AND event.idempotency_key = find_usage_event.idempotency_key);
END
$function$;


-- Count uses if a limit admits them: lock, compare, append, in one call. However many come at once,
-- no more are admitted than the limit says.
--
-- per_lifetime: compare the lifetime of the account instead of the month.
-- Features with a lifetime column in users raise it either way: it outlives the months.
-- Locks in this order: the user (such features alone), the month.
CREATE OR REPLACE FUNCTION public.admit_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text,
    source          text,
    occurred_at     timestamptz,
    per_lifetime    boolean,
    OUT admitted    boolean,
    OUT duplicate   boolean,
    OUT used_before integer,
    OUT used_after  integer,
    OUT event_id    bigint
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
DECLARE
    largest      CONSTANT bigint := 2147483647;
    month        CONSTANT date := date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date;
    has_lifetime CONSTANT boolean :=
        admit_usage.feature IN ('chat_messages_monthly', 'travel_assessments_monthly');
    lifetime     integer;
    used         integer;
    user_there   boolean;
BEGIN
    IF admit_usage.user_id IS NULL OR admit_usage.feature IS NULL
       OR admit_usage.quantity IS NULL OR admit_usage.occurred_at IS NULL
       OR admit_usage.source IS NULL THEN
        RAISE EXCEPTION 'usage of %, feature %, quantity %: an argument is NULL',
                        coalesce(admit_usage.user_id::text, 'NULL'),
                        coalesce(admit_usage.feature, 'NULL'),
                        coalesce(admit_usage.quantity::text, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of a user, the name of a feature, and how many uses.';
    ELSIF admit_usage.quantity < 1 THEN
        RAISE EXCEPTION 'a quantity of % cannot be used', admit_usage.quantity
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Give 1 or more; refund_feature_usage gives back.';
    ELSIF admit_usage.feature = '' OR length(admit_usage.feature) > 50 THEN
        RAISE EXCEPTION 'a feature cannot be called %', quote_literal(admit_usage.feature)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 to 50 characters.';
    ELSIF admit_usage.idempotency_key = '' OR length(admit_usage.idempotency_key) > 200 THEN
        RAISE EXCEPTION 'an idempotency key of % characters',
                        length(admit_usage.idempotency_key)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give 1 to 200 characters.';
    ELSIF admit_usage.idempotency_key LIKE 'refund:%' THEN
        RAISE EXCEPTION 'idempotency key %: keys that begin with refund: are those of refunds',
                        quote_literal(admit_usage.idempotency_key)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give another key.';
    ELSIF per_lifetime AND NOT has_lifetime THEN
        RAISE EXCEPTION 'feature % is not counted for a lifetime', admit_usage.feature
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Count it by the month.';
    END IF;

    IF has_lifetime THEN
        SELECT coalesce(CASE admit_usage.feature
                            WHEN 'chat_messages_monthly' THEN users.lifetime_chat_messages
                            ELSE users.lifetime_travel_assessments
                        END, 0)
          INTO lifetime
          FROM public.users
         WHERE users.id = admit_usage.user_id
           FOR NO KEY UPDATE;
        user_there := FOUND;
    END IF;

    IF per_lifetime THEN
        used := lifetime;
    ELSE
        SELECT coalesce(counted.usage_count, 0)
          INTO used
          FROM public.feature_usage AS counted
         WHERE counted.user_id = admit_usage.user_id
           AND counted.feature = (SELECT admit_usage.feature)
           AND counted.period_start = (SELECT month)
           FOR NO KEY UPDATE;
    END IF;

    IF used IS NULL AND user_there IS NULL THEN
        user_there := EXISTS (SELECT FROM public.users WHERE users.id = admit_usage.user_id);
    END IF;
    IF NOT user_there THEN
        RAISE EXCEPTION 'there is no user %', admit_usage.user_id
            USING ERRCODE = 'foreign_key_violation',
                  HINT = 'Give the id of a row of users.';
    END IF;

    IF used IS NULL AND admit_usage.quantity <= coalesce(usage_limit, admit_usage.quantity) THEN
        -- The month's first use: there must be a row to lock, or two would be first.
        INSERT INTO public.feature_usage AS counted
            (user_id, feature, usage_count, period_start, period_end)
        VALUES (admit_usage.user_id, admit_usage.feature, 0, month,
                (month + interval '1 month' - interval '1 day')::date)
            ON CONFLICT (user_id, feature, period_start) DO NOTHING;
        SELECT coalesce(counted.usage_count, 0)
          INTO used
          FROM public.feature_usage AS counted
         WHERE counted.user_id = admit_usage.user_id
           AND counted.feature = (SELECT admit_usage.feature)
           AND counted.period_start = (SELECT month)
           FOR NO KEY UPDATE;
    END IF;
    used_before := coalesce(used, 0);
    used_after := used_before;
    admitted := true;
    duplicate := false;

    IF admit_usage.idempotency_key IS NOT NULL THEN
        event_id := public.find_usage_event(admit_usage.user_id, admit_usage.idempotency_key);
        IF event_id IS NOT NULL THEN
            duplicate := true;
            RETURN;
        END IF;
    END IF;

    IF used_before::bigint + admit_usage.quantity > usage_limit THEN
        admitted := false;
        RETURN;
    ELSIF used_before::bigint + admit_usage.quantity > largest
          OR lifetime::bigint + admit_usage.quantity > largest THEN
        RAISE EXCEPTION 'user % has used % % times: % more are beyond what the column holds',
                        admit_usage.user_id, admit_usage.feature,
                        greatest(used_before, lifetime), admit_usage.quantity
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'The sum is an integer: 2147483647 at most.';
    END IF;

    INSERT INTO public.feature_usage_events
        (user_id, feature, quantity, occurred_at, idempotency_key, source)
    VALUES (admit_usage.user_id, admit_usage.feature, admit_usage.quantity,
            admit_usage.occurred_at, admit_usage.idempotency_key, admit_usage.source)
        ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO event_id;
    IF event_id IS NULL THEN
        -- The same key, used at the same time for another feature.
        duplicate := true;
        event_id := public.find_usage_event(admit_usage.user_id, admit_usage.idempotency_key);
        RETURN;
    END IF;

    IF has_lifetime THEN
        UPDATE public.users
           SET lifetime_chat_messages = CASE admit_usage.feature
                   WHEN 'chat_messages_monthly' THEN lifetime + admit_usage.quantity
                   ELSE lifetime_chat_messages END,
               lifetime_travel_assessments = CASE admit_usage.feature
                   WHEN 'travel_assessments_monthly' THEN lifetime + admit_usage.quantity
                   ELSE lifetime_travel_assessments END
         WHERE users.id = admit_usage.user_id;
    END IF;
    used_after := used_before + admit_usage.quantity;
END
$function$;

COMMENT ON FUNCTION public.admit_usage IS
    'The body of admit_feature_usage and admit_lifetime_usage, which run it with their rights.';


-- Count uses of this month, or of that of occurred_at, up to a limit (NULL: unlimited).
--
-- admitted is false where the limit stands against it, and nothing was written. duplicate is true
-- where the user had used the key before: nothing was counted again, and event_id is the first one.
CREATE OR REPLACE FUNCTION public.admit_feature_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text DEFAULT NULL,
    source          text DEFAULT 'consume',
    occurred_at     timestamptz DEFAULT now()
) RETURNS TABLE (admitted boolean, duplicate boolean, used_before integer, used_after integer,
                 event_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT * FROM public.admit_usage(
        user_id, feature, quantity, usage_limit, idempotency_key, source, occurred_at, false);
END
$function$;


-- The same for a limit on the lifetime of the account: lifetime_chat_messages for
-- chat_messages_monthly, lifetime_travel_assessments for travel_assessments_monthly.
CREATE OR REPLACE FUNCTION public.admit_lifetime_usage(
    user_id         integer,
    feature         varchar,
    quantity        integer,
    usage_limit     integer,
    idempotency_key text DEFAULT NULL,
    source          text DEFAULT 'consume',
    occurred_at     timestamptz DEFAULT now()
) RETURNS TABLE (admitted boolean, duplicate boolean, used_before integer, used_after integer,
                 event_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN QUERY
    SELECT * FROM public.admit_usage(
        user_id, feature, quantity, usage_limit, idempotency_key, source, occurred_at, true);
END
$function$;


-- Give back what an event has counted, in its month. False where it was given back before.
CREATE OR REPLACE FUNCTION public.refund_feature_usage(event_id bigint, reason text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
    taken    record;
    refunded bigint;
BEGIN
    IF refund_feature_usage.event_id IS NULL OR refund_feature_usage.reason IS NULL THEN
        RAISE EXCEPTION 'a refund of event % with reason %: an argument is NULL',
                        coalesce(refund_feature_usage.event_id::text, 'NULL'),
                        coalesce(refund_feature_usage.reason, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of an event and the reason for giving it back.';
    END IF;
    SELECT event.* INTO taken
      FROM public.feature_usage_events AS event
     WHERE event.id = refund_feature_usage.event_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no usage event %', refund_feature_usage.event_id
            USING ERRCODE = 'no_data_found',
                  HINT = 'The id is that which was returned when the use was counted. A month '
                         'that was archived is brought back by manage.py restore_feature_usage.';
    ELSIF taken.quantity < 0 THEN
        RAISE EXCEPTION 'event % took nothing: its quantity is %', taken.id, taken.quantity
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Count the use again instead.';
    END IF;

    IF taken.feature IN ('chat_messages_monthly', 'travel_assessments_monthly') THEN
        PERFORM FROM public.users WHERE users.id = taken.user_id FOR NO KEY UPDATE;
    END IF;
    -- Nobody else may use such a key: see the table.
    INSERT INTO public.feature_usage_events
        (user_id, feature, quantity, occurred_at, idempotency_key, source, reason,
         adopted, adopted_period)
    VALUES (taken.user_id, taken.feature, -taken.quantity, taken.occurred_at,
            'refund:' || taken.id, 'refund', refund_feature_usage.reason,
            taken.adopted, taken.adopted_period)
        ON CONFLICT (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id INTO refunded;
    IF refunded IS NULL THEN
        RETURN false;
    END IF;

    IF taken.feature = 'chat_messages_monthly' THEN
        UPDATE public.users
           SET lifetime_chat_messages = greatest(0, lifetime_chat_messages - taken.quantity)
         WHERE users.id = taken.user_id;
    ELSIF taken.feature = 'travel_assessments_monthly' THEN
        UPDATE public.users
           SET lifetime_travel_assessments =
                   greatest(0, lifetime_travel_assessments - taken.quantity)
         WHERE users.id = taken.user_id;
    END IF;
    RETURN true;
END
$function$;


-- Add n uses to this month, whatever the limit, and return the new count.
CREATE OR REPLACE FUNCTION public.increment_feature_usage_safe(
    user_id integer,
    feature varchar(50),
    n       integer DEFAULT 1
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    RETURN (SELECT used_after
              FROM public.admit_usage(user_id, feature, n, NULL, NULL, 'increment', now(), false));
END
$function$;


-- How often the user has used the feature this month: 0 where never.
CREATE OR REPLACE FUNCTION public.get_feature_usage(user_id integer, feature varchar)
RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF get_feature_usage.user_id IS NULL OR get_feature_usage.feature IS NULL THEN
        RAISE EXCEPTION 'get_feature_usage(%, %): an argument is NULL',
                        coalesce(get_feature_usage.user_id::text, 'NULL'),
                        coalesce(get_feature_usage.feature, 'NULL')
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Give the id of a user and the name of a feature.';
    END IF;
    RETURN coalesce(
        (SELECT counted.usage_count
           FROM public.feature_usage AS counted
          WHERE counted.user_id = get_feature_usage.user_id
            AND counted.feature = (SELECT get_feature_usage.feature)
            AND counted.period_start
                = (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date)),
        0);
END
$function$;


-- What the user has used this month, by feature.
CREATE OR REPLACE FUNCTION public.get_user_feature_usage(user_id integer)
RETURNS TABLE (feature varchar, usage_count integer, period_start date, period_end date,
               last_used timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $function$
BEGIN
    IF get_user_feature_usage.user_id IS NULL THEN
        RAISE EXCEPTION 'get_user_feature_usage(NULL): whose usage?'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Give the id of a user.';
    END IF;
    RETURN QUERY
    SELECT counted.feature, counted.usage_count, counted.period_start, counted.period_end,
           counted.updated_at
      FROM public.feature_usage AS counted
     WHERE counted.user_id = get_user_feature_usage.user_id
       AND counted.period_start = (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date)
     ORDER BY counted.feature;
END
$function$;
