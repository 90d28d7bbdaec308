-- One message into any of the threads.
\set thread random(1, :threads)
INSERT INTO chat_messages (thread_id, role, content)
VALUES (:thread, 'user', 'Then we leave at noon, and meet the others at the station.');
