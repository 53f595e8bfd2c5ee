"""The names of token bundles as searches compare them.

Revision: 0003, after 0002
"""

import json

import sqlalchemy as sa
from alembic import op

from shared.fields import fold

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 1_000
# By key, so that a page is found at once however many come before it.
NAMES = sa.text("SELECT id, name FROM public.token_bundle WHERE id > :after ORDER BY id LIMIT :number")
FILL = sa.text("""
    UPDATE public.token_bundle AS bundle SET name_folded = given.folded, name_when_folded = given.name
    FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS given (id uuid, name text, folded text)
    WHERE bundle.id = given.id AND bundle.name = given.name
""")


def upgrade() -> None:
    """Apply the change; the code that is deployed now must go on working."""
    for name in ("name_folded", "name_when_folded"):
        op.add_column("token_bundle", sa.Column(name, sa.Text(), nullable=True), if_not_exists=True)
    # With the columns committed nobody waits for more than some of the rows; it can be begun again.
    with op.get_context().autocommit_block():
        connection, after = op.get_bind(), "00000000-0000-0000-0000-000000000000"
        while names := connection.execute(NAMES, {"after": after, "number": ROWS_AT_ONCE}).all():
            given = [{"id": str(row.id), "name": row.name, "folded": fold(row.name)} for row in names]
            connection.execute(FILL, {"given": json.dumps(given)})
            after = str(names[-1].id)


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("token_bundle", "name_when_folded")
    op.drop_column("token_bundle", "name_folded")
