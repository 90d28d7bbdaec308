-- Queries of the audit. Words in braces are filled in with quoted identifiers.


-- name: compare_children
-- One row a parent: what is stored (the counter, then its mirrors) beside what the children say.
-- Of all parents, or of those with given keys.
SELECT {parent}.{key} AS key,
       ARRAY[{stored}]::bigint[] AS stored,
       coalesce(counted.actual, 0) AS actual
  FROM {schema}.{parent}
  LEFT JOIN (SELECT {child}.{foreign_key} AS key, count(*) AS actual
               FROM {schema}.{child}
              WHERE {child}.{foreign_key} IS NOT NULL{and_condition}{and_child_among}
              GROUP BY {child}.{foreign_key}) AS counted
    ON counted.key = {parent}.{key}{where_among}


-- name: compare_rows
-- One row a row: what is stored beside what the row itself says.
SELECT {parent}.{key} AS key,
       ARRAY[{stored}]::bigint[] AS stored,
       ({expression})::bigint AS actual
  FROM {schema}.{parent}{where_among}


-- name: differs
-- Whether the counter or a mirror of a compared row is not what it should be.
stored IS DISTINCT FROM array_fill(actual, ARRAY[cardinality(stored)])


-- name: summarise
-- One statement, so one snapshot: what others write meanwhile raises no false alarm.
-- Returns the summary joined to the worst drifts, largest first; one row with a NULL sample where
-- nothing drifts. A key is JSON, whatever its type.
WITH compared AS ({comparison}),
     drifting AS (
        SELECT key, stored, actual,
               (SELECT max(abs(coalesce(value, 0) - actual)) FROM unnest(stored) AS value) AS size
          FROM compared
         WHERE {differs}),
     summary AS (
        SELECT (SELECT count(*) FROM compared) AS rows_checked,
               count(*) AS rows_in_drift,
               coalesce(max(size), 0) AS largest_drift,
               coalesce(sum(size), 0) AS summed_drift
          FROM drifting),
     sample AS (
        SELECT true AS drifts, key, stored, actual
          FROM drifting
         ORDER BY size DESC, key
         LIMIT {sample})
SELECT summary.rows_checked, summary.rows_in_drift, summary.largest_drift, summary.summed_drift,
       coalesce(sample.drifts, false), to_jsonb(sample.key), sample.stored, sample.actual
  FROM summary
  LEFT JOIN sample ON true
