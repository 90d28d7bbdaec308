-- What Django sends for create() and update(n=F("n") + 1) within transaction.atomic().
BEGIN;
INSERT INTO chat_messages (thread_id, role, content)
VALUES (:thread, 'user', 'Then we leave at noon, and meet the others at the station.')
RETURNING id;
UPDATE chat_threads
   SET thread_messages_count = thread_messages_count + 1, updated_at = now()
 WHERE id = :thread;
COMMIT;
