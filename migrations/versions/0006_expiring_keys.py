"""Idempotency keys are found by their age, and deleted when they have expired.

Revision: 0006, after 0005
"""

from alembic import op

from migrations.operations import grant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


# So far a client's id could be another caller's subject.
RENAME_CLIENTS = """
    UPDATE public.token_bundle_idempotency_key AS used
    SET caller = CASE WHEN entry.subject <> '' THEN 'sub:' ELSE 'client_id:' END || used.caller
    FROM public.token_bundle_change AS entry
    WHERE entry.bundle_id = used.bundle_id AND entry.version = 1
        AND (coalesce(entry.subject, '') = '' OR entry.subject ~ '^(sub|client_id):')
"""


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    op.execute(RENAME_CLIENTS)
    op.create_index(
        "ix_token_bundle_idempotency_key_created_at", "token_bundle_idempotency_key", ["created_at"]
    )
    grant("public.token_bundle_idempotency_key", "SELECT", "INSERT", "UPDATE", "DELETE")


def downgrade() -> None:
    """Take the change back."""
    op.drop_index("ix_token_bundle_idempotency_key_created_at")
    grant("public.token_bundle_idempotency_key", "SELECT", "INSERT", "UPDATE")
