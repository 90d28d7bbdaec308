-- Takes away what 0002 added, and drops nothing that holds data.
--
-- Where somebody is staff or superuser, has logged in, or has groups or permissions, the columns
-- or the tables stay: they have defaults and cascades, so the existing application does not notice
-- them, and 0002 finds them again when it is next applied.

SET LOCAL lock_timeout = '500ms';

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM users WHERE is_staff OR is_superuser OR last_login IS NOT NULL
    ) THEN
        ALTER TABLE users
            DROP COLUMN last_login,
            DROP COLUMN is_superuser,
            DROP COLUMN is_staff;
    END IF;

    IF NOT EXISTS (SELECT FROM users_groups) THEN
        DROP TABLE users_groups;
    END IF;

    IF NOT EXISTS (SELECT FROM users_user_permissions) THEN
        DROP TABLE users_user_permissions;
    END IF;
END
$$;
