-- Twenty messages over the first threads, in one statement.
INSERT INTO chat_messages (thread_id, role, content)
SELECT 1 + floor(random() * :threads)::integer, 'user', 'Then we leave at noon.'
  FROM generate_series(1, 20);
