-- The least that the role of an application needs to write read models, beside what it is granted of the log. Replace
-- `annals_app` by the role and `annals_models` by the schema of the models, which must be another than the log's: this
-- lets the role change and delete whatever is in it.
--
-- Whoever makes the tables of models runs it once: it counts for the tables that this role makes later too, those of
-- new versions among them.
-- ANCHOR: roles
CREATE SCHEMA IF NOT EXISTS annals_models;
GRANT USAGE ON SCHEMA annals_models TO annals_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA annals_models TO annals_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA annals_models TO annals_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA annals_models GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO annals_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA annals_models GRANT USAGE ON SEQUENCES TO annals_app;
-- Only where the application makes the tables of new versions itself:
-- GRANT CREATE ON SCHEMA annals_models TO annals_app;
-- ANCHOR_END: roles
