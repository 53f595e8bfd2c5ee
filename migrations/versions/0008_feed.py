"""The history of all bundles is read in the order of time, also by who or what.

Revision: 0008, after 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEY = ["changed_at", "bundle_id", "version"]
INDEXES = {
    f"ix_token_bundle_change_{'_'.join(columns)}": columns
    for columns in (KEY, ["subject", *KEY], ["action", *KEY])
}


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    # Nobody waits for them, and it can be begun again: one whose making was interrupted is of no use.
    with op.get_context().autocommit_block():
        for name, columns in INDEXES.items():
            op.drop_index(name, "token_bundle_change", if_exists=True)
            op.create_index(name, "token_bundle_change", columns, postgresql_concurrently=True)


def downgrade() -> None:
    """Take the change back."""
    for name in INDEXES:
        op.drop_index(name, "token_bundle_change")
