-- What the table feature_usage is expected to be. See legacy_check.sql.

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('feature_usage', 'id',           'integer',                     'key',      NULL),
    ('feature_usage', 'user_id',      'integer',                     NULL,       'users'),
    ('feature_usage', 'feature',      'character varying(50)',       'required', NULL),
    ('feature_usage', 'usage_count',  'integer',                     NULL,       NULL),
    ('feature_usage', 'period_start', 'date',                        'required', NULL),
    ('feature_usage', 'period_end',   'date',                        'required', NULL),
    ('feature_usage', 'created_at',   'timestamp without time zone', NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('feature_usage', 'updated_at', 'timestamp with time zone', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('feature_usage', 'foreign key', '{user_id}', 'users', NULL),
    -- One row a user, feature and month: everybody's upserts name these three columns.
    ('feature_usage', 'unique', '{user_id,feature,period_start}', NULL, NULL);
