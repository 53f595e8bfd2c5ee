"""The tables of token bundles, which Alembic compares with the database."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Numeric, String, text, true

from shared.database.tables import versioned_tables

BUNDLES, CHANGES, IDEMPOTENCY_KEYS = versioned_tables(
    "token_bundle",
    "bundle",
    Column("name", String(255), nullable=False),
    Column("description", String(2000)),
    Column("token_amount", Integer, nullable=False),
    Column("price", Numeric(12, 4), nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("sort_order", Integer, nullable=False, server_default=text("0")),
    # The rules that must hold whoever writes, a person with psql included.
    CheckConstraint(r"btrim(name, E' \t\n\r\f\x0b') <> ''", name="name_not_blank"),
    CheckConstraint("description <> ''", name="description_not_empty"),
    CheckConstraint("token_amount >= 1", name="token_amount_positive"),
    # To Postgres NaN is larger than every number: only an upper bound keeps it out.
    CheckConstraint("price BETWEEN 0 AND 99999999.9999", name="price_in_range"),
    Index("ix_token_bundle_display_order", "sort_order", "name", "id"),
    Index(
        "ix_token_bundle_active_display_order",
        "sort_order",
        "name",
        "id",
        postgresql_where=text("is_active"),
    ),
)
