"""The history of token bundles, and the idempotency keys of their creation.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.operations import grant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    op.create_table(
        "token_bundle_change",
        sa.Column("bundle_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("bundle", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "action IN ('created', 'updated', 'activated', 'deactivated', 'deleted')",
            name=op.f("ck_token_bundle_change_action_known"),
        ),
        sa.CheckConstraint(
            "(action = 'deleted') = (bundle IS NULL)",
            name=op.f("ck_token_bundle_change_bundle_as_it_was_after"),
        ),
        sa.PrimaryKeyConstraint("bundle_id", "version", name=op.f("pk_token_bundle_change")),
    )
    op.create_table(
        "token_bundle_idempotency_key",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("bundle_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_token_bundle_idempotency_key")),
    )
    grant("public.token_bundle_change", "SELECT", "INSERT")
    grant("public.token_bundle_idempotency_key", "SELECT", "INSERT", "UPDATE")
    # Bundles that are older than their history begin it as they are now.
    op.execute(
        "INSERT INTO token_bundle_change (bundle_id, version, action, bundle, changed_at)"
        " SELECT id, version, 'created', to_jsonb(token_bundle), updated_at FROM token_bundle"
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("token_bundle_idempotency_key")
    op.drop_table("token_bundle_change")
