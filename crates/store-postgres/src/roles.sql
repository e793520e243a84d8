-- The least that the role of an application needs. Replace `annals_app` by the role and `annals` by the schema. History
-- can be added to, and neither changed nor removed.
--
-- The owner of the schema runs it after each migration, as often as they like: it makes the role where there is none,
-- which only somebody with CREATEROLE may do, and never touches one that is there. It gives the role no password.
-- ANCHOR: roles
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'annals_app') THEN
        CREATE ROLE annals_app LOGIN;
    END IF;
END
$$;
GRANT USAGE ON SCHEMA annals TO annals_app;
GRANT SELECT ON ALL TABLES IN SCHEMA annals TO annals_app;
GRANT UPDATE ON annals.log TO annals_app;
GRANT INSERT ON annals.events, annals.blocks TO annals_app;
GRANT INSERT, UPDATE ON annals.stream_policies TO annals_app;
GRANT INSERT, UPDATE, DELETE ON annals.snapshots TO annals_app;
GRANT INSERT, UPDATE ON annals.checkpoints TO annals_app;
-- ANCHOR_END: roles
