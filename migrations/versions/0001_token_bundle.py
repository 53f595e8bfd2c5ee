"""The table of token bundles.

Revision: 0001, after none
"""

import sqlalchemy as sa
from alembic import op

from migrations.operations import grant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    op.create_table(
        "token_bundle",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("token_amount", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("sort_order", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            r"btrim(name, E' \t\n\r\f\x0b') <> ''", name=op.f("ck_token_bundle_name_not_blank")
        ),
        sa.CheckConstraint("description <> ''", name=op.f("ck_token_bundle_description_not_empty")),
        sa.CheckConstraint("token_amount >= 1", name=op.f("ck_token_bundle_token_amount_positive")),
        sa.CheckConstraint("price BETWEEN 0 AND 99999999.9999", name=op.f("ck_token_bundle_price_in_range")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_token_bundle_version_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_bundle")),
    )
    op.create_index("ix_token_bundle_display_order", "token_bundle", ["sort_order", "name", "id"])
    op.create_index(
        "ix_token_bundle_active_display_order",
        "token_bundle",
        ["sort_order", "name", "id"],
        postgresql_where=sa.text("is_active"),
    )
    grant("public.alembic_version")
    grant("public.token_bundle", "SELECT", "INSERT", "UPDATE", "DELETE")


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("token_bundle")
