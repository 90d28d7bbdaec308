-- What the tables plans, users and user_usage are expected to be. See legacy_check.sql.

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('plans', 'name',                    'text',                        'key',      NULL),
    ('plans', 'price_cents',             'integer',                     'required', NULL),
    ('plans', 'chat_messages_per_month', 'integer',                     'required', NULL),
    ('plans', 'created_at',              'timestamp without time zone', NULL,       NULL),

    ('users', 'id',                          'integer',                     'key',      NULL),
    ('users', 'email',                       'text',                        'required', NULL),
    ('users', 'password_hash',               'text',                        'required', NULL),
    ('users', 'plan',                        'text',                        NULL,       NULL),
    ('users', 'name',                        'text',                        NULL,       NULL),
    ('users', 'employer',                    'text',                        NULL,       NULL),
    ('users', 'email_verified',              'boolean',                     NULL,       NULL),
    ('users', 'is_active',                   'boolean',                     NULL,       NULL),
    ('users', 'preferred_region',            'text',                        NULL,       NULL),
    ('users', 'preferred_threat_type',       'text',                        NULL,       NULL),
    ('users', 'home_location',               'text',                        NULL,       NULL),
    ('users', 'extra_details',               'jsonb',                       NULL,       NULL),
    ('users', 'created_at',                  'timestamp without time zone', NULL,       NULL),
    ('users', 'updated_at',                  'timestamp without time zone', NULL,       NULL),
    ('users', 'lifetime_chat_messages',      'integer',                     NULL,       NULL),
    ('users', 'lifetime_travel_assessments', 'integer',                     NULL,       NULL),
    ('users', 'lifetime_map_views',          'integer',                     NULL,       NULL),
    ('users', 'trial_started_at',            'timestamp without time zone', NULL,       NULL),
    ('users', 'trial_ends_at',               'timestamp without time zone', NULL,       NULL),
    ('users', 'is_trial',                    'boolean',                     NULL,       NULL),
    ('users', 'stripe_customer_id',          'character varying(255)',      NULL,       NULL),
    ('users', 'stripe_subscription_id',      'character varying(255)',      NULL,       NULL),
    ('users', 'is_admin',                    'boolean',                     NULL,       NULL),

    ('user_usage', 'user_id',             'integer',                     'key', 'users'),
    ('user_usage', 'chat_messages_used',  'integer',                     NULL,  NULL),
    ('user_usage', 'chat_messages_limit', 'integer',                     NULL,  NULL),
    ('user_usage', 'last_reset',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'created_at',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'updated_at',          'timestamp without time zone', NULL,  NULL),
    ('user_usage', 'email',               'text',                        NULL,  NULL),
    ('user_usage', 'pdf_exports_used',    'integer',                     NULL,  NULL),

    -- Made by later migrations; some databases have them already.
    ('users', 'last_login',   'timestamp with time zone', 'later', NULL),
    ('users', 'is_superuser', 'boolean',                  'later', NULL),
    ('users', 'is_staff',     'boolean',                  'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('users',      'unique',      '{email}',   NULL,    NULL),
    -- The four plans are added where they are missing.
    ('users',      'foreign key', '{plan}',    'plans', $$plan IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')$$),
    ('user_usage', 'foreign key', '{user_id}', 'users', NULL),
    ('user_usage', 'unique',      '{email}',   NULL,    NULL);
