"""SQLAlchemy's description of the tables that `versioned` has statements for: for Alembic and tests only."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from shared.database.versioned import ACTIONS

# Constraints get predictable names, so that migrations can refer to them.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def versioned_tables(name: str, noun: str, *own: SchemaItem) -> tuple[sa.Table, sa.Table, sa.Table]:
    """Describe a table with its own columns, its history, and the idempotency keys of its creations."""
    rows = _table(
        name,
        "SELECT, INSERT, UPDATE, DELETE",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        *own,
        sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")),
        _time("created_at", sa.func.now()),
        _time("updated_at", sa.func.now()),
        sa.CheckConstraint("version >= 1", name="version_positive"),
    )
    # What was done to each row; entries are only ever added, and stay when the row is deleted.
    changes = _table(
        f"{name}_change",
        "SELECT, INSERT",
        sa.Column(f"{noun}_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column(noun, JSONB(none_as_null=True)),
        sa.Column("subject", sa.Text),
        sa.Column("client_id", sa.Text),
        sa.Column("request_id", sa.Text),
        _time("changed_at", sa.func.clock_timestamp()),
        sa.CheckConstraint(f"action IN {ACTIONS}", name="action_known"),
        # What there is after a change: nothing, when it was a deletion.
        sa.CheckConstraint(f"(action = 'deleted') = ({noun} IS NULL)", name=f"{noun}_as_it_was_after"),
    )
    # Which row a caller's key has created; what was answered is in the history of that row.
    keys = _table(
        f"{name}_idempotency_key",
        "SELECT, INSERT, UPDATE",
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column(f"{noun}_id", sa.Uuid, nullable=False, server_default=sa.func.gen_random_uuid()),
        _time("created_at", sa.func.now()),
    )
    return rows, changes, keys


def _table(name: str, grants: str, *items: SchemaItem) -> sa.Table:
    # What migrations/roles.sql lets the API's role do; a test compares them.
    return sa.Table(name, metadata, *items, info={"grants": grants})


def _time(name: str, default: sa.Function[Any]) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=default)
