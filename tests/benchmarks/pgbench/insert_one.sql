-- One message into one thread, as an application sends it: a statement, a transaction.
INSERT INTO chat_messages (thread_id, role, content)
VALUES (:thread, 'user', 'Then we leave at noon, and meet the others at the station.');
