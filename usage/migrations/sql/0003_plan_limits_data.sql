-- The price list. Rows that are there stay as they were edited, and a plan that is gone gets none.

-- What is counted or measured: NULL is unlimited, 0 is not in the plan.
INSERT INTO public.feature_plan_limits (plan, feature, per, usage_limit)
SELECT plans.name, line.feature,
       CASE WHEN plans.name = 'FREE' THEN line.per_free ELSE line.per END,
       CASE plans.name
           WHEN 'FREE' THEN line.free
           WHEN 'PRO' THEN line.pro
           WHEN 'BUSINESS' THEN line.business
           ELSE line.enterprise
       END
  FROM (VALUES
    -- feature                      per        of FREE     FREE   PRO BUSINESS ENTERPRISE
    ('chat_messages_monthly',      'month',   'lifetime',    3,   500,   1000,   2500),
    ('conversation_threads',       'account', 'account',     5,    50,    100,   NULL),
    ('messages_per_thread',        'object',  'object',      3,    50,    100,   NULL),
    ('trip_planner_destinations',  'object',  'object',      0,     5,     10,   NULL),
    ('saved_searches',             'account', 'account',     0,     3,     10,   NULL),
    ('pdf_exports_monthly',        'month',   'month',       1,    10,   NULL,   NULL),
    ('travel_assessments_monthly', 'month',   'lifetime',    1,  NULL,   NULL,   NULL),
    ('weekly_digest_schedules',    'account', 'account',     0,     1,      3,   NULL),
    ('map_access_days',            'object',  'object',      2,    30,     90,    365),
    ('timeline_days',              'object',  'object',      0,    30,     90,    365),
    ('team_users',                 'account', 'account',     0,     0,      3,   NULL)
  ) AS line (feature, per, per_free, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
ON CONFLICT DO NOTHING;

-- What is there or not.
INSERT INTO public.feature_plan_limits (plan, feature, usage_limit)
SELECT plans.name, line.feature,
       CASE WHEN CASE plans.name
                     WHEN 'FREE' THEN line.free
                     WHEN 'PRO' THEN line.pro
                     WHEN 'BUSINESS' THEN line.business
                     ELSE line.enterprise
                 END
            THEN NULL ELSE 0
       END
  FROM (VALUES
    -- feature                   FREE   PRO    BUSINESS ENTERPRISE
    ('can_archive_threads',     false, true,  true,  true),
    ('chat_export_pdf',         false, true,  true,  true),
    ('email_alerts',            false, true,  true,  true),
    ('timeline_access',         false, true,  true,  true),
    ('weekly_trends',           false, true,  true,  true),
    ('map_filters',             false, true,  true,  true),
    ('sms_alerts',              false, false, true,  true),
    ('geofenced_alerts',        false, false, true,  true),
    ('map_custom_filters',      false, false, true,  true),
    ('map_historical_playback', false, false, true,  true),
    ('map_comparison_mode',     false, false, true,  true),
    ('route_analysis',          false, false, true,  true),
    ('safe_zones_overlay',      false, false, true,  true),
    ('briefing_packages',       false, true,  true,  true),
    ('custom_reports',          false, false, false, true),
    ('api_access',              false, false, false, true),
    ('analyst_access',          false, false, false, true),
    ('monthly_briefing',        false, false, false, true)
  ) AS line (feature, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
ON CONFLICT DO NOTHING;

-- What is a word: NULL is not in the plan.
INSERT INTO public.feature_plan_limits (plan, feature, usage_limit, tier)
SELECT plans.name, line.feature, CASE WHEN chosen.tier IS NULL THEN 0 END, chosen.tier
  FROM (VALUES
    -- feature                FREE         PRO          BUSINESS        ENTERPRISE
    ('support_level',        'email_48h', 'email_24h', 'priority_24h', 'analyst_4h'),
    ('map_export',           NULL,        'csv',       'all',          'all'),
    ('statistics_dashboard', NULL,        'basic',     'advanced',     'custom')
  ) AS line (feature, free, pro, business, enterprise)
  JOIN public.plans ON plans.name IN ('FREE', 'PRO', 'BUSINESS', 'ENTERPRISE')
 CROSS JOIN LATERAL (
    SELECT CASE plans.name
               WHEN 'FREE' THEN line.free
               WHEN 'PRO' THEN line.pro
               WHEN 'BUSINESS' THEN line.business
               ELSE line.enterprise
           END AS tier
  ) AS chosen
ON CONFLICT DO NOTHING;

INSERT INTO public.plan_trials (plan, days)
SELECT plans.name, line.days
  FROM (VALUES ('PRO', 7), ('BUSINESS', 7), ('ENTERPRISE', 14)) AS line (plan, days)
  JOIN public.plans ON plans.name = line.plan
ON CONFLICT DO NOTHING;
