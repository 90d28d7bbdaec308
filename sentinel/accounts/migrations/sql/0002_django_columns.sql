-- What Django needs of its user model and the deployed system does not have.
--
-- The existing application goes on inserting and deleting users without knowing of any of it: the
-- columns have defaults in the database, and whatever refers to a user goes with the user.

-- A column of the same name that is of another type was not made by us: do not build on it.
DO $$
DECLARE
    contradictions text;
BEGIN
    SELECT string_agg(
               format(
                   'users.%s: found %s, expected %s',
                   a.attname, format_type(a.atttypid, a.atttypmod), expected.type
               ),
               E'\n' ORDER BY a.attname
           )
      INTO contradictions
      FROM pg_catalog.pg_attribute AS a
      JOIN (VALUES
               ('last_login',   'timestamp with time zone'),
               ('is_superuser', 'boolean'),
               ('is_staff',     'boolean')
           ) AS expected (column_name, type) ON expected.column_name = a.attname
     WHERE a.attrelid = 'users'::regclass
       AND NOT a.attisdropped
       AND format_type(a.atttypid, a.atttypmod) <> expected.type;

    IF contradictions IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'the columns that Django needs are there, but not as it needs them; '
                      'nothing was changed',
            DETAIL = contradictions,
            HINT = 'Rename or change these by hand; then run migrate again.';
    END IF;
END
$$;

-- Constant defaults: no row is rewritten.
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS last_login   timestamptz,
    ADD COLUMN IF NOT EXISTS is_superuser boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS is_staff     boolean NOT NULL DEFAULT false;
