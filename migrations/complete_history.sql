-- What keeps the history of {table} complete, whoever writes. It is all after the statement: with a trigger before an
-- update, that would wait for all who refer to the row by a foreign key.

CREATE FUNCTION public.{table}_is_recorded() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    last record;
BEGIN
    SELECT version, action, xmin = pg_current_xact_id()::xid AS is_of_this_transaction INTO last
    FROM public.{table}_change
    WHERE {noun}_id = CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END
    ORDER BY version DESC
    LIMIT 1;
    IF TG_OP = 'DELETE' THEN
        IF (last.version, last.action) IS DISTINCT FROM (OLD.version + 1, 'deleted') THEN
            RAISE EXCEPTION USING
                MESSAGE = 'A row of {table} is not deleted without an entry in {table}_change.',
                HINT = 'Delete it through the API, or in one statement: WITH gone AS ('
                    'DELETE FROM {table} WHERE … RETURNING *) '
                    'INSERT INTO {table}_change ({noun}_id, version, action, subject) '
                    'SELECT id, version + 1, ''deleted'', current_user FROM gone';
        END IF;
    ELSIF last.version IS NULL THEN
        RAISE EXCEPTION USING
            MESSAGE = 'A row of {table} is not inserted without an entry in {table}_change.',
            HINT = 'Create it through the API, or in one statement: WITH new AS ('
                'INSERT INTO {table} (…) VALUES (…) RETURNING *) '
                'INSERT INTO {table}_change ({noun}_id, version, action, {noun}, subject) '
                'SELECT id, version, ''created'', to_jsonb(new), current_user FROM new';
    -- With one snapshot for the whole transaction, what others have added meanwhile is not seen.
    ELSIF last.version <> NEW.version OR last.action = 'deleted' OR NOT last.is_of_this_transaction
        AND current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
    THEN
        RAISE EXCEPTION USING
            MESSAGE = 'The row of this id is further on in {table}_change.',
            HINT = 'Take another id, or the version after its last entry, and add an entry for that.';
    END IF;
    RETURN NULL;
END $$;
-- By its name it comes before the foreign key, whose message has no hint.
CREATE TRIGGER "Is_recorded" AFTER INSERT OR DELETE ON public.{table}
FOR EACH ROW EXECUTE FUNCTION public.{table}_is_recorded();

CREATE TRIGGER has_next_version AFTER UPDATE ON public.{table} FOR EACH ROW
WHEN ((NEW.version <> OLD.version + 1 OR NEW.id <> OLD.id) AND NEW.* IS DISTINCT FROM OLD.*)
EXECUTE FUNCTION public.refuse(
    'A row of {table} is not changed without its next version and an entry in {table}_change.',
    'Change it through the API, or in one statement: WITH changed AS ('
    'UPDATE {table} SET …, version = version + 1, updated_at = now() WHERE … RETURNING *) '
    'INSERT INTO {table}_change ({noun}_id, version, action, {noun}, subject) '
    'SELECT id, version, ''updated'', to_jsonb(changed), current_user FROM changed'
);

CREATE TRIGGER is_not_truncated BEFORE TRUNCATE ON public.{table} EXECUTE FUNCTION public.refuse(
    'The rows of {table} are not deleted without entries in {table}_change.',
    'Delete them through the API.'
);

CREATE TRIGGER is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON public.{table}_change
EXECUTE FUNCTION public.refuse(
    'The history in {table}_change is only added to.',
    'Correct the row itself, which makes an entry of its own.'
);
