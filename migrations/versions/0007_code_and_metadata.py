"""The code and the metadata of bundles; in the history reasons, and restorations.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ACTIONS = "'created', 'updated', 'activated', 'deactivated', 'deleted'"
ONLY_TEXTS = """jsonb_typeof(metadata) = 'object' AND NOT metadata @? 'strict $.* ? (@.type() != "string")'"""


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    op.add_column("token_bundle", sa.Column("code", sa.String(64, collation="C"), nullable=True))
    op.add_column(
        "token_bundle", sa.Column("metadata", JSONB(), server_default=sa.text("'{}'"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_token_bundle_code_format"), "token_bundle", "code ~ '^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$'"
    )
    op.create_check_constraint(op.f("ck_token_bundle_metadata_texts"), "token_bundle", ONLY_TEXTS)
    op.create_index(
        "uq_token_bundle_code",
        "token_bundle",
        ["code"],
        unique=True,
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.add_column("token_bundle_change", sa.Column("reason", sa.String(length=200), nullable=True))
    _allow(f"{ACTIONS}, 'restored', 'currency_changed'")


def downgrade() -> None:
    """Take the change back."""
    op.execute("ALTER TABLE public.token_bundle_change DISABLE TRIGGER is_kept")
    op.execute("UPDATE public.token_bundle_change SET action = 'updated' WHERE action = 'restored'")
    op.execute("ALTER TABLE public.token_bundle_change ENABLE TRIGGER is_kept")
    _allow(f"{ACTIONS}, 'currency_changed'")
    op.drop_column("token_bundle_change", "reason")
    op.drop_column("token_bundle", "metadata")
    op.drop_column("token_bundle", "code")


def _allow(actions: str) -> None:
    name = op.f("ck_token_bundle_change_action_known")
    op.drop_constraint(name, "token_bundle_change")
    op.create_check_constraint(name, "token_bundle_change", f"action IN ({actions})")
