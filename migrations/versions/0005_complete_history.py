"""The promise of a complete history, kept by Postgres whoever writes.

Revision: 0005, after 0004
"""

from alembic import op

from migrations.operations import grant, keep_history_complete

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REPRESENTABLE = "BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'"

# A bundle that is not what its last entry says gets another version, so that no old entity tag is true of it.
RECORD_WHAT_WAS_NOT = """
    WITH wrong AS (
        SELECT present.id, greatest(present.version, last.version + 1) AS version,
            CASE WHEN last.after IS NULL THEN 'created' ELSE 'updated' END AS action
        FROM public.token_bundle AS present
        LEFT JOIN LATERAL (
            SELECT entry.version, entry.bundle AS after
            FROM public.token_bundle_change AS entry
            WHERE entry.bundle_id = present.id
            ORDER BY entry.version DESC
            LIMIT 1
        ) AS last ON true
        WHERE last.after IS NULL OR last.version <> present.version
            OR jsonb_populate_record(present, last.after) IS DISTINCT FROM present
    ), corrected AS (
        UPDATE public.token_bundle AS present
        SET version = wrong.version, updated_at = CASE
            WHEN present.version = wrong.version THEN present.updated_at ELSE clock_timestamp()
        END
        FROM wrong
        WHERE present.id = wrong.id
        RETURNING present.*
    )
    INSERT INTO public.token_bundle_change (bundle_id, version, action, bundle)
    SELECT id, version, action, to_jsonb(corrected)
    FROM corrected JOIN wrong USING (id, version)
"""
# Whose bundle somebody has deleted without an entry.
RECORD_WHAT_WAS_DELETED = """
    INSERT INTO public.token_bundle_change (bundle_id, version, action)
    SELECT last.bundle_id, last.version + 1, 'deleted'
    FROM (
        SELECT DISTINCT ON (bundle_id) bundle_id, version, action
        FROM public.token_bundle_change
        ORDER BY bundle_id, version DESC
    ) AS last
    WHERE last.action <> 'deleted'
        AND NOT EXISTS (SELECT FROM public.token_bundle AS present WHERE present.id = last.bundle_id)
"""

# Each becomes the nearest that is, which is a correction with an entry.
MAKE_REPRESENTABLE = (
    """
    UPDATE public.token_bundle SET created_at = {created_at}, updated_at = {updated_at}
    WHERE (created_at, updated_at) <> ({created_at}, {updated_at})
    """,
    """
    UPDATE public.token_bundle_change SET changed_at = {changed_at} WHERE changed_at <> {changed_at}
    """,
    """
    UPDATE public.token_bundle_change AS entry
    SET bundle = bundle || jsonb_build_object('created_at', {created_at}, 'updated_at', {updated_at})
    FROM (
        SELECT same.bundle_id AS id, same.version AS at, after.created_at, after.updated_at
        FROM public.token_bundle_change AS same,
            jsonb_populate_record(NULL::public.token_bundle, same.bundle) AS after
    ) AS snapshot
    WHERE bundle_id = id AND version = at
        AND (created_at, updated_at) <> ({created_at}, {updated_at})
    """,
)
NEAREST = {
    name: f"least(greatest({name}, '0001-01-02 00:00+00'), '9999-12-30 00:00+00')"
    for name in ("created_at", "updated_at", "changed_at")
}

REFUSE = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], HINT = TG_ARGV[1];
    END $$
"""

KEEP_CURRENCY = (
    """
    CREATE FUNCTION public.prices_have_currency() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM public.token_bundle AS bundle
            JOIN public.token_bundle_change AS entry
                ON entry.bundle_id = bundle.id AND entry.version = bundle.version
            WHERE entry.currency <> NEW.code
        ) THEN
            RAISE EXCEPTION USING
                MESSAGE = 'There are prices in another currency.',
                HINT = 'Invoke Migrate with the command currency, which changes them as well.';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER prices_have_currency AFTER INSERT OR UPDATE ON public.default_currency
    FOR EACH ROW EXECUTE FUNCTION public.prices_have_currency()
    """,
    """
    CREATE TRIGGER is_known BEFORE DELETE OR TRUNCATE ON public.default_currency
    EXECUTE FUNCTION public.refuse(
        'The currency of the prices must be known.', 'Change it with the command currency of Migrate.'
    )
    """,
)


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    # Nobody may write between what is recorded here and the triggers. A weaker lock than the constraints take
    # would have to wait for a write that waits for it.
    op.execute("LOCK TABLE public.token_bundle, public.token_bundle_change IN ACCESS EXCLUSIVE MODE")
    for statement in MAKE_REPRESENTABLE:
        op.execute(statement.format(**NEAREST))
    op.create_check_constraint(
        op.f("ck_token_bundle_times_representable"),
        "token_bundle",
        f"created_at {REPRESENTABLE} AND updated_at {REPRESENTABLE}",
    )
    op.create_check_constraint(
        op.f("ck_token_bundle_change_time_representable"),
        "token_bundle_change",
        f"changed_at {REPRESENTABLE}",
    )
    op.create_check_constraint(
        op.f("ck_token_bundle_change_version_positive"), "token_bundle_change", "version >= 1"
    )
    op.execute(RECORD_WHAT_WAS_NOT)
    op.execute(RECORD_WHAT_WAS_DELETED)
    op.create_foreign_key(
        op.f("fk_token_bundle_id_version_token_bundle_change"),
        "token_bundle",
        "token_bundle_change",
        ["id", "version"],
        ["bundle_id", "version"],
    )
    grant("public.token_bundle_change", "SELECT", "INSERT")
    op.execute(REFUSE)
    keep_history_complete("token_bundle", "bundle")
    for statement in KEEP_CURRENCY:
        op.execute(statement)


def downgrade() -> None:
    """Take the change back."""
    op.execute(
        "DROP FUNCTION public.token_bundle_is_recorded(), public.refuse(), public.prices_have_currency()"
        " CASCADE"
    )
    op.drop_constraint("fk_token_bundle_id_version_token_bundle_change", "token_bundle")
    op.drop_constraint("ck_token_bundle_change_version_positive", "token_bundle_change")
    op.drop_constraint("ck_token_bundle_change_time_representable", "token_bundle_change")
    op.drop_constraint("ck_token_bundle_times_representable", "token_bundle")
