-- What the table travel_itineraries is expected to be. See legacy_check.sql.

INSERT INTO expected_columns (table_name, column_name, type, rule, parent) VALUES
    ('travel_itineraries', 'id',                 'bigint',                   'key',      NULL),
    ('travel_itineraries', 'user_id',            'integer',                  'required', 'users'),
    ('travel_itineraries', 'itinerary_uuid',     'uuid',                     NULL,       NULL),
    ('travel_itineraries', 'title',              'character varying(255)',   NULL,       NULL),
    ('travel_itineraries', 'description',        'text',                     NULL,       NULL),
    ('travel_itineraries', 'data',               'jsonb',                    'required', NULL),
    ('travel_itineraries', 'created_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'updated_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'is_deleted',         'boolean',                  NULL,       NULL),
    ('travel_itineraries', 'deleted_at',         'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'version',            'integer',                  NULL,       NULL),
    ('travel_itineraries', 'last_alert_sent_at', 'timestamp with time zone', NULL,       NULL),
    ('travel_itineraries', 'alerts_sent_count',  'integer',                  NULL,       NULL),

    -- Made by later migrations; some databases have them already.
    ('travel_itineraries', 'destinations_count', 'integer', 'later', NULL);

INSERT INTO expected_constraints (table_name, kind, columns, parent, condition) VALUES
    ('travel_itineraries', 'foreign key', '{user_id}',        'users', NULL),
    ('travel_itineraries', 'unique',      '{itinerary_uuid}', NULL,    NULL);
