-- The admin's log refers to users as well, by a key of Django's making, which leaves the cascade
-- to Python: the existing application could no longer delete anyone who ever worked in the admin.
DO $$
DECLARE
    log_to_users name;
BEGIN
    SELECT conname
      INTO log_to_users
      FROM pg_catalog.pg_constraint
     WHERE conrelid = 'django_admin_log'::regclass
       AND confrelid = 'users'::regclass
       AND contype = 'f'
       AND confdeltype <> 'c';

    IF FOUND THEN
        EXECUTE format(
            'ALTER TABLE django_admin_log DROP CONSTRAINT %1$I, ADD CONSTRAINT %1$I '
            'FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE',
            log_to_users
        );
    END IF;
END
$$;
