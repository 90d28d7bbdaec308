-- What the tables chat_threads and chat_messages are expected to be. See legacy_check.sql.

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('chat_threads', 'id',                  'integer',                  'key',      NULL),
    ('chat_threads', 'user_id',             'integer',                  'required', 'users'),
    ('chat_threads', 'thread_uuid',         'uuid',                     NULL,       NULL),
    ('chat_threads', 'title',               'text',                     'required', NULL),
    ('chat_threads', 'investigation_topic', 'text',                     NULL,       NULL),
    ('chat_threads', 'message_count',       'integer',                  NULL,       NULL),
    ('chat_threads', 'is_archived',         'boolean',                  NULL,       NULL),
    ('chat_threads', 'is_deleted',          'boolean',                  NULL,       NULL),
    ('chat_threads', 'archived_at',         'timestamp with time zone', NULL,       NULL),
    ('chat_threads', 'created_at',          'timestamp with time zone', NULL,       NULL),
    ('chat_threads', 'updated_at',          'timestamp with time zone', NULL,       NULL),

    ('chat_messages', 'id',         'integer',                  'key',      NULL),
    ('chat_messages', 'thread_id',  'integer',                  'required', 'chat_threads'),
    ('chat_messages', 'role',       'character varying(20)',    'required', NULL),
    ('chat_messages', 'content',    'text',                     'required', NULL),
    ('chat_messages', 'timestamp',  'timestamp with time zone', NULL,       NULL),
    ('chat_messages', 'created_at', 'timestamp with time zone', NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('chat_threads', 'thread_messages_count', 'integer', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('chat_threads',  'foreign key', '{user_id}',     'users',        NULL),
    ('chat_threads',  'unique',      '{thread_uuid}', NULL,           NULL),
    ('chat_messages', 'foreign key', '{thread_id}',   'chat_threads', NULL),
    ('chat_messages', 'check',       '{role}',        NULL,           $$role IN ('user', 'assistant', 'system')$$);
