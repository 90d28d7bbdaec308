-- Tables of the peers, and what keeps their counters. Run with the peer's schema in front of the
-- search path. Each is written as its users would write it.


-- name: tables
-- The tables of the deployed system with their indexes, without the guide's index on the counter.
CREATE TABLE chat_threads (LIKE public.chat_threads INCLUDING DEFAULTS INCLUDING INDEXES);
DROP INDEX chat_threads_user_id_thread_messages_count_idx;
CREATE TABLE chat_messages (
    LIKE public.chat_messages INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING CONSTRAINTS,
    FOREIGN KEY (thread_id) REFERENCES chat_threads ON DELETE CASCADE
);


-- name: row_triggers
-- What most tutorials show: one trigger for each row.
CREATE FUNCTION count_message() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        UPDATE chat_threads SET thread_messages_count = thread_messages_count - 1
         WHERE id = OLD.thread_id;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        UPDATE chat_threads
           SET thread_messages_count = thread_messages_count + 1, updated_at = now()
         WHERE id = NEW.thread_id;
    END IF;
    RETURN NULL;
END
$function$;
CREATE TRIGGER count_message AFTER INSERT OR DELETE ON chat_messages
    FOR EACH ROW EXECUTE FUNCTION count_message();
CREATE TRIGGER count_moved_message AFTER UPDATE OF thread_id ON chat_messages
    FOR EACH ROW WHEN (OLD.thread_id IS DISTINCT FROM NEW.thread_id)
    EXECUTE FUNCTION count_message();


-- name: legacy
-- The trigger of the deployed system, with its upkeep of user_usage, which has a trigger of its own.
CREATE TABLE user_usage (LIKE public.user_usage INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TRIGGER update_user_usage_updated_at BEFORE UPDATE ON user_usage
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
CREATE FUNCTION update_thread_stats() RETURNS trigger LANGUAGE plpgsql AS $function$
DECLARE
    owner_id   integer;
    this_month timestamp := date_trunc('month', localtimestamp);
BEGIN
    UPDATE chat_threads
       SET message_count = (
               SELECT count(*) FROM chat_messages WHERE thread_id = NEW.thread_id
           ),
           updated_at = now()
     WHERE id = NEW.thread_id
    RETURNING user_id INTO owner_id;

    INSERT INTO user_usage AS usage (user_id, chat_messages_used)
    VALUES (owner_id, 1)
    ON CONFLICT (user_id) DO UPDATE
       SET chat_messages_used = CASE
               WHEN date_trunc('month', usage.last_reset) = this_month
               THEN usage.chat_messages_used + 1
               ELSE 1
           END,
           last_reset = CASE
               WHEN date_trunc('month', usage.last_reset) = this_month
               THEN usage.last_reset
               ELSE this_month
           END
     WHERE usage.last_reset IS NOT NULL;
    RETURN NEW;
END
$function$;
CREATE TRIGGER thread_message_added AFTER INSERT ON chat_messages
    FOR EACH ROW EXECUTE FUNCTION update_thread_stats();


-- name: index_counter
-- The guide's index on the counter, which the migrated database has.
CREATE INDEX ON {schema}.chat_threads (user_id, thread_messages_count) WHERE is_deleted = false


-- name: itineraries
-- Itineraries without a count.
CREATE TABLE travel_itineraries (
    LIKE public.travel_itineraries INCLUDING DEFAULTS INCLUDING INDEXES
);
ALTER TABLE travel_itineraries DROP COLUMN destinations_count;


-- name: generated
-- Their count as a generated column.
ALTER TABLE travel_itineraries ADD COLUMN destinations_count integer GENERATED ALWAYS AS (
    CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
         THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END
) STORED;


-- name: upsert
-- The months alone: no ledger, no limit.
CREATE TABLE feature_usage (LIKE public.feature_usage INCLUDING DEFAULTS INCLUDING INDEXES);


-- name: vacuum_settings
-- An autovacuum in the middle of one round would be charged to whoever is measured then.
ALTER TABLE {table} SET (autovacuum_enabled = off)


-- name: fill
-- Threads with so many messages each, and their true counts.
INSERT INTO {schema}.chat_threads (id, user_id, title, thread_messages_count, message_count)
SELECT thread, 1, 'Thread ' || thread, {messages}, {messages}
  FROM generate_series({first}, {last}) AS thread;
INSERT INTO {schema}.chat_messages (thread_id, role, content)
SELECT thread, 'user', 'Then we leave at noon, and meet the others at the station.'
  FROM generate_series({first}, {last}) AS thread
 CROSS JOIN generate_series(1, {messages});


-- name: count_drift
-- Threads whose column is not the number of their messages, and the largest difference.
SELECT count(*), coalesce(max(abs(stored - actual)), 0)
  FROM (SELECT coalesce(thread.{column}, 0) AS stored,
               (SELECT count(*)
                  FROM {schema}.chat_messages AS message
                 WHERE message.thread_id = thread.id) AS actual
          FROM {schema}.chat_threads AS thread) AS compared
 WHERE stored <> actual


-- name: count_itinerary_drift
-- Itineraries whose count is not the number of their waypoints, and the largest difference.
SELECT count(*), coalesce(max(abs(stored - actual)), 0)
  FROM (SELECT coalesce(destinations_count, 0) AS stored,
               CASE WHEN jsonb_typeof(data -> 'waypoints') = 'array'
                    THEN jsonb_array_length(data -> 'waypoints') ELSE 0 END AS actual
          FROM {schema}.travel_itineraries) AS compared
 WHERE stored <> actual


-- name: count_usage_drift
-- Months whose sum is not that of their events, and the largest difference.
SELECT count(*), coalesce(max(abs(stored - actual)), 0)
  FROM (SELECT coalesce(month.usage_count, 0) AS stored,
               (SELECT coalesce(sum(event.quantity), 0)
                  FROM public.feature_usage_events AS event
                 WHERE event.user_id = month.user_id
                   AND event.feature = month.feature
                   AND event.period_start = month.period_start) AS actual
          FROM public.feature_usage AS month
         WHERE month.user_id IS NOT NULL) AS compared
 WHERE stored <> actual
