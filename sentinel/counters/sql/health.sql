-- Queries of the trigger health check, for the catalogues of PostgreSQL 15 and later.


-- name: installed_triggers
-- Every trigger of the given names with its function, as the server has them. The definition is
-- the server's own spelling (pg_get_triggerdef), with the table's schema always written out.
SELECT trigger.tgname AS trigger,
       relation.relname AS table,
       trigger.tgenabled::text AS enabled,
       pg_get_triggerdef(trigger.oid) AS definition,
       function.prosrc AS body,
       function.prosecdef AS security_definer,
       coalesce(function.proconfig, ARRAY[]::text[]) AS settings,
       pg_get_userbyid(function.proowner) AS function_owner,
       pg_get_userbyid(relation.relowner) AS table_owner
  FROM pg_trigger AS trigger
  JOIN pg_class AS relation ON relation.oid = trigger.tgrelid
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
  JOIN pg_proc AS function ON function.oid = trigger.tgfoid
 WHERE schema.nspname = %(schema)s
   AND trigger.tgname = ANY (%(names)s)
   AND trigger.tgparentid = 0
