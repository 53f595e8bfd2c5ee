"""The currency that all prices are in, and that of each entry's time.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

from migrations.currency import check_prices
from migrations.operations import grant
from shared.settings import settings

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ACTIONS = "'created', 'updated', 'activated', 'deactivated', 'deleted'"


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    check_prices(op.get_bind(), settings.default_currency)
    currency = op.create_table(
        "default_currency",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("code", sa.String(length=3), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_default_currency_is_only")),
        sa.CheckConstraint("code ~ '^[A-Z]{3}$'", name=op.f("ck_default_currency_code_of_iso_4217")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_default_currency")),
    )
    op.bulk_insert(currency, [{"code": settings.default_currency.code}])
    grant("public.default_currency", "SELECT")
    # Of entries by code that does not know the column, which Postgres fills without writing each row anew.
    op.execute(
        "CREATE FUNCTION public.current_currency() RETURNS varchar LANGUAGE sql STABLE"
        " AS 'SELECT code FROM public.default_currency'"
    )
    grant("FUNCTION public.current_currency()", "EXECUTE")
    op.add_column(
        "token_bundle_change",
        sa.Column(
            "currency",
            sa.String(length=3),
            server_default=sa.text("public.current_currency()"),
            nullable=False,
        ),
    )
    _allow(f"{ACTIONS}, 'currency_changed'")


def downgrade() -> None:
    """Take the change back."""
    op.execute("UPDATE token_bundle_change SET action = 'updated' WHERE action = 'currency_changed'")
    _allow(ACTIONS)
    op.drop_column("token_bundle_change", "currency")
    op.execute("DROP FUNCTION public.current_currency()")
    op.drop_table("default_currency")


def _allow(actions: str) -> None:
    name = op.f("ck_token_bundle_change_action_known")
    op.drop_constraint(name, "token_bundle_change")
    op.create_check_constraint(name, "token_bundle_change", f"action IN ({actions})")
