"""The tables of token bundles, which Alembic compares with the database."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from shared.database.tables import versioned_tables

DISPLAY_ORDER = ("sort_order", "name", "id")

BUNDLES, CHANGES, IDEMPOTENCY_KEYS = versioned_tables(
    "token_bundle",
    "bundle",
    # Compared by its bytes, on every server alike.
    sa.Column("code", sa.String(64, collation="C")),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.String(2000)),
    sa.Column("token_amount", sa.Integer, nullable=False),
    sa.Column("price", sa.Numeric(12, 4), nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("sort_order", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("metadata", JSONB, nullable=False, server_default=sa.text("'{}'")),
    # The name as searches compare it, and the name that this was made of: psql may have changed it since.
    sa.Column("name_folded", sa.Text),
    sa.Column("name_when_folded", sa.Text),
    # The rules that must hold whoever writes, a person with psql included.
    sa.CheckConstraint(r"btrim(name, E' \t\n\r\f\x0b') <> ''", name="name_not_blank"),
    sa.CheckConstraint("code ~ '^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$'", name="code_format"),
    sa.CheckConstraint(
        """jsonb_typeof(metadata) = 'object' AND NOT metadata @? 'strict $.* ? (@.type() != "string")'""",
        name="metadata_texts",
    ),
    sa.CheckConstraint("description <> ''", name="description_not_empty"),
    sa.CheckConstraint("token_amount >= 1", name="token_amount_positive"),
    # To Postgres NaN is larger than every number: only an upper bound keeps it out.
    sa.CheckConstraint("price BETWEEN 0 AND 99999999.9999", name="price_in_range"),
    sa.Index("ix_token_bundle_display_order", *DISPLAY_ORDER),
    # Without the predicate each change would wait for all who refer to the bundle by a foreign key.
    sa.Index("uq_token_bundle_code", "code", unique=True, postgresql_where=sa.text("code IS NOT NULL")),
    sa.Index("ix_token_bundle_active_display_order", *DISPLAY_ORDER, postgresql_where=sa.text("is_active")),
)
