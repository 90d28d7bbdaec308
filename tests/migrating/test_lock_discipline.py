"""Every statement of every migration, Django's own included, as the server sees it.

No linter knows triggers. So an event trigger writes down each command that changes the schema: how
long it would wait for a lock, and which of the tables that others write it has locked by its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.legacy.catalog import LEGACY_TABLES

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

WATCH = """
    CREATE SCHEMA watched;
    CREATE TABLE watched.commands (
        tag text, query text, lock_timeout text, locked text[], indexed text
    );
    CREATE FUNCTION watched.write_down() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $body$
    BEGIN
        INSERT INTO watched.commands
        SELECT tg_tag, current_query(), current_setting('lock_timeout'),
               ARRAY(SELECT DISTINCT c.relname::text
                       FROM pg_locks AS held
                       JOIN pg_class AS c ON c.oid = held.relation
                      WHERE held.pid = pg_backend_pid()
                        AND held.granted
                        AND held.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                                          'AccessExclusiveLock')
                        AND c.relname = ANY (ARRAY[{tables}])
                      ORDER BY 1),
               (SELECT string_agg(built.indrelid::regclass::text, ', ')
                  FROM pg_event_trigger_ddl_commands() AS command
                  JOIN pg_index AS built ON built.indexrelid = command.objid
                 WHERE command.classid = 'pg_class'::regclass);
    END
    $body$;
    CREATE EVENT TRIGGER {name} ON ddl_command_end EXECUTE FUNCTION watched.write_down()
""".format(tables=", ".join(f"'{table}'" for table in LEGACY_TABLES), name="watch_commands")
# What takes no lock that a writer would wait for.
HARMLESS = ("CREATE FUNCTION", "GRANT", "REVOKE", "COMMENT")
# A foreign key locks the table that it refers to as well, whoever adds it.
TOGETHER = {("chat_messages", "chat_threads")}  # threads 0002, with its reason
# So that 0001 has something to do.
MISSING = """
    ALTER TABLE users DROP CONSTRAINT users_email_key, DROP COLUMN is_trial;
    ALTER TABLE chat_threads DROP CONSTRAINT chat_threads_user_id_fkey, DROP COLUMN thread_uuid;
    ALTER TABLE chat_messages DROP CONSTRAINT chat_messages_role_check;
    DROP INDEX idx_messages_thread;
    DROP TRIGGER thread_message_added ON chat_messages;
"""


def test_every_command_gives_up_soon_and_locks_one_table(
    legacy_database: ScratchDatabase,
) -> None:
    legacy_database.run(MISSING)
    legacy_database.run(WATCH)
    legacy_database.migrate()
    commands = legacy_database.rows(
        "SELECT tag, query, lock_timeout, locked, indexed FROM watched.commands"
    )
    assert {"CREATE TRIGGER", "DROP TRIGGER", "ALTER TABLE", "CREATE INDEX"} <= {
        tag for tag, *_ in commands
    }
    for tag, query, lock_timeout, locked, indexed in commands:
        shown = f"{tag}: {query[:300]}"
        if "CONCURRENTLY" in query or tag in HARMLESS:
            continue
        assert lock_timeout in {"200ms", "500ms"}, f"waits for ever for its lock: {shown}"
        assert indexed not in LEGACY_TABLES, f"holds up who writes {indexed}: {shown}"
        if "FOREIGN KEY" not in query and tuple(locked) not in TOGETHER:
            assert len(locked) <= 1, f"locks {locked} in one transaction: {shown}"
