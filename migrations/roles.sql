-- The database roles of the API and of its migrations, for the parameters' default names.
--
-- Run it on the database as the one who owns it (on RDS the master user), before the first deploy and again after
-- it: tables get their exact privileges once they are there, and may be read and written by the API until then.
-- After that, give both roles a way to log in, as docs/runbook.md says.

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

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO token_bundles_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO token_bundles_api;

-- What the API may do with each table, as its description in shared/*/tables.py has it; tables that are not named here
-- are left as they are.
DO $$
DECLARE
  known record;
BEGIN
  FOR known IN
    SELECT * FROM (VALUES
      ('alembic_version', NULL),
      ('token_bundle', 'SELECT, INSERT, UPDATE, DELETE'),
      ('token_bundle_change', 'SELECT, INSERT'),
      ('token_bundle_idempotency_key', 'SELECT, INSERT, UPDATE')
    ) AS tables (name, privileges)
    WHERE to_regclass(format('public.%I', name)) IS NOT NULL
  LOOP
    EXECUTE format('REVOKE ALL ON public.%I FROM token_bundles_api', known.name);
    IF known.privileges IS NOT NULL THEN
      EXECUTE format('GRANT %s ON public.%I TO token_bundles_api', known.privileges, known.name);
    END IF;
  END LOOP;
END $$;

RESET ROLE;
REVOKE token_bundles_migrator FROM CURRENT_USER;

COMMIT;
