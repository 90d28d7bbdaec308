-- The rights of four roles. Words in braces are filled in with quoted names.


-- name: preparation
-- What the owner needs before it can migrate.

-- What the owner needs to migrate, unless it is a superuser. Run it as one, once in a database.
--
-- The functions of the triggers carry the setting sentinel.engine, by which the engine knows its own
-- writes. PostgreSQL lets only those store a setting of this kind in a function who were given it.

GRANT SET ON PARAMETER sentinel.engine TO {owner};
GRANT USAGE, CREATE ON SCHEMA public TO {owner};


-- name: grants
-- The comments that follow are printed too. No name stands in one: a line break in it would end it.

-- Rights of four roles on this database:
--
--   the owner                 owns every table and function; migrates, repairs, records audits
--   the application           ours: writes rows, appends to the ledger, edits limits
--   the existing application  was there before: writes its own tables
--   the reporter              reads what is audited, and what audits and repairs have found
--
-- Run it as a superuser after `manage.py migrate`, and again after each later one: a new table or
-- function has no rights yet. It is one transaction and may be run any number of times. The roles
-- are made before, such as by CREATE ROLE ... LOGIN.
--
-- Nobody but the owner can switch a trigger off, drop it or replace it, which takes the ownership of
-- its table, and nobody but the owner can TRUNCATE.

BEGIN;

-- What no REVOKE can take away is refused here: a superuser, the owner of a table and a member of
-- that role may do everything, granted or not.
SELECT set_config('sentinel.owner', {owner_text}, true),
       set_config('sentinel.others', {others_text}, true);

DO $check$
DECLARE
    owner_name CONSTANT text := current_setting('sentinel.owner');
    other_name text;
    found_name text;
BEGIN
    IF to_regrole(quote_ident(owner_name)) IS NULL THEN
        RAISE EXCEPTION 'there is no role %', owner_name
            USING HINT = format('CREATE ROLE %I LOGIN', owner_name);
    END IF;

    SELECT relation.oid::regclass::text INTO found_name
      FROM pg_catalog.pg_class AS relation
     WHERE relation.relnamespace = 'public'::regnamespace
       AND relation.relname IN ('users', 'plans', 'user_usage', 'chat_threads', 'chat_messages',
                                'travel_itineraries', 'feature_usage', 'feature_usage_events')
       AND relation.relowner <> to_regrole(quote_ident(owner_name))
     ORDER BY relation.relname
     LIMIT 1;
    IF found_name IS NOT NULL THEN
        RAISE EXCEPTION 'table % does not belong to %', found_name, owner_name
            USING HINT = format('ALTER TABLE %s OWNER TO %I, and so for each of its kind, or name '
                                'the role that owns them.', found_name, owner_name);
    END IF;

    FOR other_name IN SELECT json_array_elements_text(current_setting('sentinel.others')::json)
    LOOP
        IF to_regrole(quote_ident(other_name)) IS NULL THEN
            RAISE EXCEPTION 'there is no role %', other_name
                USING HINT = format('CREATE ROLE %I LOGIN', other_name);
        ELSIF EXISTS (SELECT FROM pg_catalog.pg_roles
                       WHERE (rolsuper OR rolcreaterole) AND rolname = other_name) THEN
            RAISE EXCEPTION 'role % is a superuser or may create roles, and can give itself any '
                            'right', other_name
                USING HINT = format('ALTER ROLE %I NOSUPERUSER NOCREATEROLE, or name another role.',
                                    other_name);
        ELSIF pg_has_role(other_name, owner_name, 'MEMBER') THEN
            RAISE EXCEPTION 'role % is a member of %, and may do whatever that may', other_name,
                            owner_name
                USING HINT = format('REVOKE %I FROM %I, or name another role.', owner_name,
                                    other_name);
        ELSIF has_parameter_privilege(other_name, 'session_replication_role', 'SET') THEN
            RAISE EXCEPTION 'role % may set session_replication_role, and write without triggers',
                            other_name
                USING HINT = format('REVOKE SET ON PARAMETER session_replication_role FROM %I',
                                    other_name);
        END IF;
    END LOOP;
END
$check$;

-- ------------------------------------------------------------------------------ everybody's rights

REVOKE CREATE ON SCHEMA public FROM PUBLIC, {application}, {existing}, {reporter};
GRANT USAGE ON SCHEMA public TO {application}, {existing}, {reporter};

-- On every table, whoever it is of: what would get around the triggers.
REVOKE TRUNCATE, TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA public
  FROM PUBLIC, {application}, {existing}, {reporter};

-- What is ours, whatever was granted before.
REVOKE ALL ON TABLE public.feature_usage_events, public.feature_plan_limits,
                    public.feature_limit_overrides, public.plan_trials, public.counter_audits,
                    public.counter_repairs, public.counter_repair_runs, public.django_migrations,
                    public.feature_usage_archive, public.feature_usage_events_archive,
                    public.feature_usage_archived_keys, public.feature_usage_archive_runs,
                    public.feature_usage_days, public.feature_usage_user_days,
                    public.feature_usage_counted_months, public.feature_usage_refusals,
                    public.counter_jobs, public.axes_accessattempt,
                    public.axes_accessattemptexpiration, public.axes_accessfailurelog,
                    public.axes_accesslog
  FROM PUBLIC, {application}, {existing}, {reporter};

-- --------------------------------------------------------------------------------- the application

-- It shows everything in the admin. What follows is what it may write; all else is the owner's.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {application};
GRANT INSERT, UPDATE, DELETE
   ON TABLE public.users, public.users_groups, public.users_user_permissions, public.plans,
            public.user_usage, public.chat_threads, public.chat_messages, public.travel_itineraries,
            public.feature_usage, public.feature_plan_limits, public.feature_limit_overrides,
            public.plan_trials, public.auth_group, public.auth_group_permissions,
            public.django_admin_log, public.django_session
   TO {application};

-- The ledger is appended to: corrections in the admin, imports. Uses go through the functions.
GRANT INSERT ON TABLE public.feature_usage_events TO {application};

-- What is asked for in the admin, and the log-ins that failed. The jobs themselves need the owner's
-- rights: SENTINEL_JOBS_DATABASE_URL.
GRANT INSERT, UPDATE, DELETE
   ON TABLE public.counter_jobs, public.axes_accessattempt, public.axes_accessattemptexpiration,
            public.axes_accessfailurelog, public.axes_accesslog
   TO {application};

-- What its gates refuse, added up.
GRANT INSERT, UPDATE ON TABLE public.feature_usage_refusals TO {application};

-- The keys of tables with a serial column. Those of identity columns need no right.
GRANT USAGE ON SEQUENCE public.users_id_seq, public.chat_threads_id_seq, public.chat_messages_id_seq,
                        public.travel_itineraries_id_seq, public.feature_usage_id_seq
   TO {application}, {existing};

GRANT EXECUTE
   ON FUNCTION public.admit_feature_usage, public.admit_lifetime_usage, public.refund_feature_usage,
               public.increment_feature_usage_safe, public.get_feature_usage,
               public.get_user_feature_usage, public.feature_limit, public.required_plan,
               public.feature_used, public.feature_resets_at, public.use_feature
   TO {application};

-- ------------------------------------------------------------------------ the existing application

-- Its own tables, as ever. The triggers count with their owner's rights: it needs none on what they
-- write, and the ledger is not among the tables that it sees.
GRANT SELECT, INSERT, UPDATE, DELETE
   ON TABLE public.users, public.plans, public.user_usage, public.chat_threads,
            public.chat_messages, public.travel_itineraries, public.feature_usage
   TO {existing};
GRANT SELECT ON TABLE public.user_active_threads, public.active_itineraries TO {existing};
GRANT EXECUTE
   ON FUNCTION public.increment_feature_usage_safe, public.get_feature_usage,
               public.get_user_feature_usage, public.admit_feature_usage,
               public.admit_lifetime_usage, public.refund_feature_usage, public.use_feature
   TO {existing};

-- ------------------------------------------------------------------------------------ the reporter

-- What the audit compares, row by row, and what was recorded. It writes nothing:
-- `manage.py audit_counters --no-record`.
GRANT SELECT
   ON TABLE {audited},
            public.counter_audits, public.counter_repairs, public.counter_repair_runs,
            public.feature_usage_archive, public.feature_usage_archive_runs,
            public.feature_usage_summary, public.django_migrations
   TO {reporter};

COMMIT;
