"""The tables of token bundles."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, String, Text, func, text, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.database import Base


class TokenBundle(Base):
    """A package of tokens with a price in the system's default currency."""

    __tablename__ = "token_bundle"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(2000))
    token_amount: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    is_active: Mapped[bool] = mapped_column(server_default=true())
    sort_order: Mapped[int] = mapped_column(server_default=text("0"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    # The rules that must hold whoever writes, a person with psql included.
    __table_args__ = (
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


class TokenBundleChange(Base):
    """What somebody did to a bundle; rows are only ever added, and stay when the bundle is deleted."""

    __tablename__ = "token_bundle_change"

    bundle_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    action: Mapped[str] = mapped_column(String(20))
    bundle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    subject: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )

    __table_args__ = (
        CheckConstraint(
            "action IN ('created', 'updated', 'activated', 'deactivated', 'deleted')", name="action_known"
        ),
        # What there is after a change: nothing, when it was the bundle's deletion.
        CheckConstraint("(action = 'deleted') = (bundle IS NULL)", name="bundle_as_it_was_after"),
    )


class TokenBundleIdempotencyKey(Base):
    """Which bundle a caller's key has created; what was answered is in the history of that bundle."""

    __tablename__ = "token_bundle_idempotency_key"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    bundle_id: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
