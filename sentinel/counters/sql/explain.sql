-- Queries of the comparison of plans. Words in braces are filled in with quoted identifiers.


-- name: largest_row
-- The row with the highest counter. The counter itself says which: the rows that are counted are
-- not looked at. One pass over the parent.
SELECT ARRAY[{keys}]::text[], {column}
  FROM {schema}.{parent}
 WHERE {column} > 0
 ORDER BY {column} DESC
 LIMIT 1


-- name: typical_row
-- The row in the middle of those that count anything, likewise.
SELECT ARRAY[{keys}]::text[], {column}
  FROM {schema}.{parent}
 WHERE {column} > 0
 ORDER BY {column}, {keys}
OFFSET (SELECT count(*) / 2 FROM {schema}.{parent} WHERE {column} > 0)
 LIMIT 1


-- name: given_row
-- One row by its key.
SELECT ARRAY[{keys}]::text[], {column}
  FROM {schema}.{parent}
 WHERE {is_parent}


-- name: read_column
-- What a limit check does with the counter.
SELECT {column} FROM {schema}.{parent} WHERE {is_parent}


-- name: count_children
-- What a limit check does without it.
SELECT count(*) FROM {schema}.{child} WHERE {is_child}{and_condition}


-- name: sum_events
-- Likewise, of a ledger.
SELECT sum({quantity}) FROM {schema}.{child} WHERE {is_child}


-- name: compute_value
-- Likewise, of a value that follows from the row itself.
SELECT {expression} FROM {schema}.{parent} WHERE {is_parent}


-- name: table_size
-- Bytes of a table without its indexes.
SELECT pg_relation_size(relation.oid)
  FROM pg_class AS relation
  JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
 WHERE schema.nspname = %(schema)s
   AND relation.relname = %(table)s
