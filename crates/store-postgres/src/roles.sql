-- The least that the role of an application needs, run by the owner of the schema after each migration. Replace
-- `annals_app` by the role and `annals` by the schema. History can be added to, and neither changed nor removed.
-- ANCHOR: roles
CREATE ROLE annals_app LOGIN;
GRANT USAGE ON SCHEMA annals TO annals_app;
GRANT SELECT ON ALL TABLES IN SCHEMA annals TO annals_app;
GRANT UPDATE ON annals.log TO annals_app;
GRANT INSERT ON annals.events TO annals_app;
GRANT INSERT, UPDATE ON annals.stream_policies TO annals_app;
GRANT INSERT, UPDATE, DELETE ON annals.snapshots TO annals_app;
GRANT INSERT, UPDATE ON annals.checkpoints TO annals_app;
-- ANCHOR_END: roles
