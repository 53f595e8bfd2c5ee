"""Idempotency keys are found by their age, and deleted when they have expired.

Revision: 0006, after 0005
"""

from alembic import op

from migrations.operations import grant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    op.create_index(
        "ix_token_bundle_idempotency_key_created_at", "token_bundle_idempotency_key", ["created_at"]
    )
    grant("token_bundle_idempotency_key", "SELECT", "INSERT", "UPDATE", "DELETE")


def downgrade() -> None:
    """Take the change back."""
    op.drop_index("ix_token_bundle_idempotency_key_created_at")
    grant("token_bundle_idempotency_key", "SELECT", "INSERT", "UPDATE")
