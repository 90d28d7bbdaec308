-- The same two writes that the counter makes, by the application, in one statement.
WITH added AS (
    INSERT INTO chat_messages (thread_id, role, content)
    VALUES (:thread, 'user', 'Then we leave at noon, and meet the others at the station.')
    RETURNING thread_id
)
UPDATE chat_threads
   SET thread_messages_count = thread_messages_count + 1,
       message_count = coalesce(message_count, 0) + 1,
       updated_at = now()
  FROM added
 WHERE chat_threads.id = added.thread_id;
