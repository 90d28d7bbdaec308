-- What is kept of audits and repairs. The tables are those of models.py.


-- name: patience
-- A record is worth no waiting: somebody who alters the table holds it longer.
SELECT set_config('lock_timeout', '2s', true)


-- name: record_audits
-- One row a counter.
INSERT INTO {schema}.counter_audits
       (counter, audited_at, exact, rows_checked, rows_in_drift, largest_drift, summed_drift,
        problems, seconds)
SELECT audit.counter, {now}, audit.exact, audit.rows_checked, audit.rows_in_drift,
       audit.largest_drift, audit.summed_drift, audit.problems, audit.seconds
  FROM jsonb_to_recordset({audits})
       AS audit (counter text, exact boolean, rows_checked bigint, rows_in_drift bigint,
                 largest_drift bigint, summed_drift bigint, problems jsonb, seconds float)


-- name: begin_run
-- Whoever holds the lock is the only one: runs that seem to go on were killed.
WITH killed AS (
    UPDATE {schema}.counter_repair_runs
       SET outcome = 'broken', ended_at = statement_timestamp()
     WHERE ended_at IS NULL)
INSERT INTO {schema}.counter_repair_runs
       (outcome, started_at, counters, database_user, host, process, backend,
        batches, rows_repaired, rows_skipped, rows_left)
VALUES ('running', statement_timestamp(), {counters}, session_user, {host}, {process}, {backend},
        0, 0, 0, 0)
RETURNING id


-- name: end_run
UPDATE {schema}.counter_repair_runs
   SET outcome = {outcome},
       ended_at = statement_timestamp(),
       rows_skipped = {rows_skipped},
       rows_left = {rows_left}
 WHERE id = {run}


-- name: find_running
-- The run that is under way, as a sentence wants it.
SELECT id, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), database_user,
       host, process, backend, rows_repaired
  FROM {schema}.counter_repair_runs
 WHERE ended_at IS NULL
 ORDER BY id DESC
 LIMIT 1


-- name: delete_old_audits
-- A bounded number, the oldest first; what somebody else is deleting is left to him. They are chosen
-- into an array, once: beside IN the planner may choose anew for every row, and so delete more.
DELETE FROM {schema}.counter_audits
 WHERE id = ANY (ARRAY(SELECT id
                         FROM {schema}.counter_audits
                        WHERE audited_at < {before}
                        ORDER BY audited_at
                        LIMIT {at_most}
                          FOR UPDATE SKIP LOCKED))


-- name: delete_old_repairs
-- Likewise.
DELETE FROM {schema}.counter_repairs
 WHERE id = ANY (ARRAY(SELECT id
                         FROM {schema}.counter_repairs
                        WHERE repaired_at < {before}
                        ORDER BY repaired_at
                        LIMIT {at_most}
                          FOR UPDATE SKIP LOCKED))


-- name: delete_old_runs
-- Likewise, those of which no repair is kept.
DELETE FROM {schema}.counter_repair_runs
 WHERE id = ANY (ARRAY(SELECT run.id
                         FROM {schema}.counter_repair_runs AS run
                        WHERE run.ended_at < {before}
                          AND NOT EXISTS (SELECT
                                            FROM {schema}.counter_repairs AS repair
                                           WHERE repair.run_id = run.id)
                        ORDER BY run.id
                        LIMIT {at_most}
                          FOR UPDATE OF run SKIP LOCKED))
