"""The tables of token bundles, without SQLAlchemy's ORM: importing that alone costs more than a request."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import metadata

Action = Literal["created", "updated", "activated", "deactivated", "deleted"]


class TokenBundle(NamedTuple):
    """A package of tokens with a price in the system's default currency: a row of its table."""

    id: UUID
    name: str
    description: str | None
    token_amount: int
    price: Decimal
    is_active: bool
    sort_order: int
    version: int
    created_at: datetime
    updated_at: datetime


class TokenBundleChange(NamedTuple):
    """What somebody did to a bundle, and the bundle before and after it as JSON."""

    bundle_id: UUID
    version: int
    action: Action
    subject: str | None
    client_id: str | None
    request_id: str | None
    changed_at: datetime
    before: str | None
    after: str | None


BUNDLES = Table(
    "token_bundle",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", String(255), nullable=False),
    Column("description", String(2000)),
    Column("token_amount", Integer, nullable=False),
    Column("price", Numeric(12, 4), nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=true()),
    Column("sort_order", Integer, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # The rules that must hold whoever writes, a person with psql included.
    CheckConstraint(r"btrim(name, E' \t\n\r\f\x0b') <> ''", name="name_not_blank"),
    CheckConstraint("description <> ''", name="description_not_empty"),
    CheckConstraint("token_amount >= 1", name="token_amount_positive"),
    # To Postgres NaN is larger than every number: only an upper bound keeps it out.
    CheckConstraint("price BETWEEN 0 AND 99999999.9999", name="price_in_range"),
    CheckConstraint("version >= 1", name="version_positive"),
    Index("ix_token_bundle_display_order", "sort_order", "name", "id"),
    Index(
        "ix_token_bundle_active_display_order",
        "sort_order",
        "name",
        "id",
        postgresql_where=text("is_active"),
    ),
)

# What was done to each bundle; rows are only ever added, and stay when the bundle is deleted.
CHANGES = Table(
    "token_bundle_change",
    metadata,
    Column("bundle_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("action", String(20), nullable=False),
    Column("bundle", JSONB(none_as_null=True)),
    Column("subject", Text),
    Column("client_id", Text),
    Column("request_id", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    CheckConstraint(
        "action IN ('created', 'updated', 'activated', 'deactivated', 'deleted')", name="action_known"
    ),
    # What there is after a change: nothing, when it was the bundle's deletion.
    CheckConstraint("(action = 'deleted') = (bundle IS NULL)", name="bundle_as_it_was_after"),
)

# Which bundle a caller's key has created; what was answered is in the history of that bundle.
IDEMPOTENCY_KEYS = Table(
    "token_bundle_idempotency_key",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("bundle_id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
