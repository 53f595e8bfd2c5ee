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
        WHERE last.after IS NULL OR jsonb_populate_record(present, last.after) IS DISTINCT FROM present
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
REFUSE = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], HINT = TG_ARGV[1];
    END $$
"""


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    # Nobody may write between what is recorded here and the triggers.
    op.execute("LOCK TABLE public.token_bundle, public.token_bundle_change IN SHARE ROW EXCLUSIVE MODE")
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
    op.execute(RECORD_WHAT_WAS_NOT)
    op.create_foreign_key(
        op.f("fk_token_bundle_id_version_token_bundle_change"),
        "token_bundle",
        "token_bundle_change",
        ["id", "version"],
        ["bundle_id", "version"],
    )
    grant("token_bundle_change", "SELECT", "INSERT")
    op.execute(REFUSE)
    keep_history_complete("token_bundle", "bundle")


def downgrade() -> None:
    """Take the change back."""
    op.execute("DROP FUNCTION public.token_bundle_is_recorded(), public.refuse() CASCADE")
    op.drop_constraint("fk_token_bundle_id_version_token_bundle_change", "token_bundle")
    op.drop_constraint("ck_token_bundle_change_time_representable", "token_bundle_change")
    op.drop_constraint("ck_token_bundle_times_representable", "token_bundle")
