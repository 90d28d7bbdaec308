"""What PostgreSQL's catalogs say about everything that the files make."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scratch import ScratchDatabase

# The deployed system's tables and those that the files make: not Django's, nor those of its admin.
RELATIONS = "^(plans|users|user_usage|chat_|travel_|feature_|plan_trials|active_|user_active_)"
NOT_OURS = "^(users_groups|users_user_permissions)"
DJANGOS_COLUMNS = "('last_login', 'is_superuser', 'is_staff')"

DEFINITIONS = f"""
    WITH relation AS (
        SELECT oid, relname, relkind FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm', 'v', 'p')
           AND relname ~ '{RELATIONS}' AND relname !~ '{NOT_OURS}'
    )
    SELECT relname, 'relation', relkind::text || coalesce(pg_get_viewdef(
               CASE WHEN relkind IN ('v', 'm') THEN oid END), '')
      FROM relation
    UNION ALL
    SELECT relname, format('column %s', attname),
           concat_ws(' ', format_type(atttypid, atttypmod), attidentity, attgenerated,
                     CASE WHEN attnotnull THEN 'NOT NULL' END,
                     'DEFAULT ' || pg_get_expr(adbin, adrelid))
      FROM relation
      JOIN pg_attribute ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
      LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE relname <> 'users' OR attname NOT IN {DJANGOS_COLUMNS}
    UNION ALL
    SELECT relname, format('constraint %s', conname),
           pg_get_constraintdef(pg_constraint.oid) || convalidated
      FROM relation
      JOIN pg_constraint ON conrelid = relation.oid
     WHERE contype <> 'n' AND conname !~ '_not_null$'  -- from 18 on; told by the columns
    UNION ALL
    SELECT relname, format('index %s', indexrelid::regclass),
           pg_get_indexdef(indexrelid) || indisvalid
      FROM relation
      JOIN pg_index ON indrelid = relation.oid
    UNION ALL
    SELECT relname, format('trigger %s', tgname),
           pg_get_triggerdef(pg_trigger.oid) || ' ' || tgenabled::text
           || coalesce(obj_description(pg_trigger.oid, 'pg_trigger'), '')
      FROM relation
      JOIN pg_trigger ON tgrelid = relation.oid AND NOT tgisinternal
    UNION ALL
    SELECT '', format('function %s', oid::regprocedure),
           pg_get_functiondef(oid) || coalesce(proacl::text, '')
      FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT '', format('type %s', typname), typtype::text
      FROM pg_type
     WHERE typnamespace = 'public'::regnamespace AND typtype IN ('c', 'd', 'e')
       AND NOT EXISTS (SELECT FROM pg_class WHERE pg_class.oid = typrelid AND relkind <> 'c')
"""


Definitions = dict[tuple[str, str], str]


def read_definitions(database: ScratchDatabase) -> Definitions:
    """Return every column, constraint, index and trigger by its table, and functions and types."""
    return {(table, what): text for table, what, text in database.rows(DEFINITIONS)}


def differences(one: Definitions, other: Definitions) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what is not the same in both."""
    return {
        name: (one.get(name, "missing"), other.get(name, "missing"))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    }


def of_the_deployed_system(after: Definitions, before: Definitions) -> Definitions:
    """Return them without the tables of ours that are kept: they hold data."""
    known = {table for table, _ in before}
    kept = {table for table, _ in after} - known
    assert "feature_usage_events" in kept
    assert all(table.startswith(("feature_", "plan_trials")) for table in kept)
    assert not [what for table, what in after if table in kept and what.startswith("trigger")]
    return {name: text for name, text in after.items() if name[0] in known}
