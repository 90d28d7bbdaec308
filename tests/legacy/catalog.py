"""What PostgreSQL's catalogs say about the tables of the deployed system."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

LEGACY_TABLES = (
    "plans",
    "users",
    "user_usage",
    "chat_threads",
    "chat_messages",
    "travel_itineraries",
    "feature_usage",
)

DEFINITIONS = """
    WITH legacy AS (
        SELECT oid, relname FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relname = ANY (ARRAY[{tables}])
    )
    SELECT format('column %s.%s', relname, attname),
           concat_ws(' ', format_type(atttypid, atttypmod),
                     CASE WHEN attnotnull THEN 'NOT NULL' END,
                     'DEFAULT ' || pg_get_expr(adbin, adrelid))
      FROM legacy
      JOIN pg_attribute ON attrelid = legacy.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT format('columns of %s in their order', relname),
           string_agg(attname, ' ' ORDER BY attnum)
      FROM legacy
      JOIN pg_attribute ON attrelid = legacy.oid AND attnum > 0 AND NOT attisdropped
     GROUP BY relname
    UNION ALL
    SELECT format('constraint %s on %s', conname, relname), pg_get_constraintdef(pg_constraint.oid)
      FROM legacy
      JOIN pg_constraint ON conrelid = legacy.oid
    UNION ALL
    SELECT format('index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
      FROM legacy
      JOIN pg_index ON indrelid = legacy.oid
    UNION ALL
    SELECT format('trigger %s on %s', tgname, relname),
           pg_get_triggerdef(pg_trigger.oid) || ' ' || tgenabled::text
      FROM legacy
      JOIN pg_trigger ON tgrelid = legacy.oid AND NOT tgisinternal
    UNION ALL
    SELECT format('view %s', relname), pg_get_viewdef(oid)
      FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
    UNION ALL
    SELECT format('function %s', oid::regprocedure), pg_get_functiondef(oid)
      FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace
""".format(tables=", ".join(f"'{table}'" for table in LEGACY_TABLES))

STORAGE = """
    SELECT relname, relfilenode, relhastriggers, relowner::regrole::text, relacl::text
      FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relname = ANY (ARRAY[{tables}])
     ORDER BY relname
""".format(tables=", ".join(f"'{table}'" for table in LEGACY_TABLES))


def read_definitions(database: ScratchDatabase) -> dict[str, str]:
    """Return every column, constraint, index, trigger, view and function, by its name."""
    return dict(database.rows(DEFINITIONS))


def read_rows(database: ScratchDatabase) -> dict[str, list[tuple[str, str]]]:
    """Return every row of every table as text, with the transaction that wrote it."""
    return {
        table: database.rows(f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2")
        for table in LEGACY_TABLES
    }


def read_storage(database: ScratchDatabase) -> list[tuple[object, ...]]:
    """Return where each table is stored, which changes when it is rewritten, and its owner."""
    return database.rows(STORAGE)
