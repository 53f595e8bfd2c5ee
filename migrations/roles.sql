-- The database roles of the API and of its migrations, for the parameters' default names.
--
-- Run it on the database as the one who owns it (on RDS the master user), before the first deploy; again whenever you
-- like. After that, give both roles a way to log in, as docs/runbook.md says.

BEGIN;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'token_bundles_migrator') THEN
    CREATE ROLE token_bundles_migrator LOGIN;
    CREATE ROLE token_bundles_api LOGIN;
  END IF;
END $$;

-- A pooler refuses the functions' own limits; these hold all the same. They are those of the template.
ALTER ROLE token_bundles_api SET statement_timeout = '3s';
ALTER ROLE token_bundles_api SET lock_timeout = '2s';

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO token_bundles_migrator;
GRANT USAGE ON SCHEMA public TO token_bundles_api;

-- Only for as long as this takes: with rds_iam, a member of the role could no longer log in with a password.
GRANT token_bundles_migrator TO CURRENT_USER;
SET LOCAL ROLE token_bundles_migrator;

-- For tables of migrations that do not say by themselves what the API may do with them, as all of ours do.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO token_bundles_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO token_bundles_api;

RESET ROLE;
REVOKE token_bundles_migrator FROM CURRENT_USER;

COMMIT;
