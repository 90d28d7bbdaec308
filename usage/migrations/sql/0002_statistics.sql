-- A month begins without statistics. Until PostgreSQL counts again, it takes a lookup by the month alone for
-- as good as one by the key, in everybody's queries, and reads all rows of the month. So it counts again
-- after one row in a hundred and not in ten, which takes it a fraction of a second a minute.
ALTER TABLE feature_usage
    SET (autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 500);
