-- Queries of the health checks, for the catalogues of PostgreSQL 15 and later.


-- name: columns
-- The columns of some tables, and whether each is NOT NULL. A table that is not there has none.
SELECT relation.relname, attribute.attname, attribute.attnotnull
  FROM pg_class AS relation
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
  JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
 WHERE schema.nspname = %(schema)s
   AND relation.relname = ANY (%(tables)s)
   AND relation.relkind IN ('r', 'p')
   AND attribute.attnum > 0
   AND NOT attribute.attisdropped
 ORDER BY relation.relname, attribute.attnum


-- name: indexes
-- The indexes of some tables with their key columns (NULL for an expression), their size and use.
SELECT relation.relname,
       index_relation.relname,
       ARRAY(SELECT attribute.attname::text
               FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS key (attnum, place)
               LEFT JOIN pg_attribute AS attribute
                 ON attribute.attrelid = index.indrelid
                AND attribute.attnum = key.attnum
                AND key.attnum <> 0
              WHERE key.place <= index.indnkeyatts
              ORDER BY key.place),
       index.indpred IS NOT NULL,
       index.indisvalid AND index.indisready AND index.indislive,
       coalesce(pg_stat_get_numscans(index.indexrelid), 0),
       pg_relation_size(index.indexrelid)
  FROM pg_index AS index
  JOIN pg_class AS relation ON relation.oid = index.indrelid
  JOIN pg_class AS index_relation ON index_relation.oid = index.indexrelid
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
 WHERE schema.nspname = %(schema)s
   AND relation.relname = ANY (%(tables)s)
 ORDER BY relation.relname, index_relation.relname


-- name: foreign_keys
-- The foreign keys of some tables.
SELECT relation.relname,
       foreign_key.conname,
       ARRAY(SELECT attribute.attname::text
               FROM unnest(foreign_key.conkey) WITH ORDINALITY AS key (attnum, place)
               JOIN pg_attribute AS attribute
                 ON attribute.attrelid = foreign_key.conrelid
                AND attribute.attnum = key.attnum
              ORDER BY key.place),
       foreign_key.condeferrable
  FROM pg_constraint AS foreign_key
  JOIN pg_class AS relation ON relation.oid = foreign_key.conrelid
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
 WHERE foreign_key.contype = 'f'
   AND schema.nspname = %(schema)s
   AND relation.relname = ANY (%(tables)s)
 ORDER BY relation.relname, foreign_key.conname


-- name: triggers
-- Every trigger of some tables with its function, as the server has them, and the triggers on other
-- tables that run a function of the engine, which is known by its setting. The definition is the
-- server's own spelling (pg_get_triggerdef), with the table's schema always written out.
SELECT trigger.tgname,
       relation.relname,
       trigger.tgenabled::text,
       pg_get_triggerdef(trigger.oid),
       function.prosrc,
       function.proname,
       function.prosecdef,
       coalesce(function.proconfig, ARRAY[]::text[]),
       pg_get_userbyid(function.proowner),
       pg_get_userbyid(relation.relowner)
  FROM pg_trigger AS trigger
  JOIN pg_class AS relation ON relation.oid = trigger.tgrelid
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
  JOIN pg_proc AS function ON function.oid = trigger.tgfoid
 WHERE schema.nspname = %(schema)s
   AND NOT trigger.tgisinternal
   AND trigger.tgparentid = 0
   AND (relation.relname = ANY (%(tables)s)
        OR EXISTS (SELECT FROM unnest(function.proconfig) AS setting
                    WHERE setting LIKE 'sentinel.engine=%%'))
 ORDER BY relation.relname, trigger.tgname


-- name: idle_functions
-- Trigger functions of the engine that no trigger calls.
SELECT function.proname
  FROM pg_proc AS function
  JOIN pg_namespace AS schema ON schema.oid = function.pronamespace
 WHERE schema.nspname = %(schema)s
   AND function.prorettype = 'trigger'::regtype
   AND EXISTS (SELECT FROM unnest(function.proconfig) AS setting
                WHERE setting LIKE 'sentinel.engine=%%')
   AND NOT EXISTS (SELECT FROM pg_trigger AS trigger WHERE trigger.tgfoid = function.oid)
 ORDER BY function.proname


-- name: relatives
-- Tables whose rows are rows of some tables as well: their partitions and those that inherit from
-- them ("below"), and what they are a partition of ("above").
SELECT relation.relname,
       relative.oid::regclass::text,
       CASE WHEN link.inhparent = relation.oid THEN 'below' ELSE 'above' END
  FROM pg_class AS relation
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
  JOIN pg_inherits AS link ON relation.oid IN (link.inhparent, link.inhrelid)
  JOIN pg_class AS relative
    ON relative.oid IN (link.inhparent, link.inhrelid)
   AND relative.oid <> relation.oid
 WHERE schema.nspname = %(schema)s
   AND relation.relname = ANY (%(tables)s)
   AND relation.relkind IN ('r', 'p')
 ORDER BY 1, 3, 2


-- name: updates
-- How often rows of some tables were updated, and how often without a new entry in any index (HOT).
-- Since the statistics were last reset.
SELECT relation.relname, pg_stat_get_tuples_updated(relation.oid),
       pg_stat_get_tuples_hot_updated(relation.oid)
  FROM pg_class AS relation
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
 WHERE schema.nspname = %(schema)s
   AND relation.relname = ANY (%(tables)s)
