"""SQLAlchemy's description of the tables that `versioned` has statements for: for Alembic and tests only."""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from shared.database.versioned import ACTIONS

# Constraints get predictable names, so that migrations can refer to them.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def versioned_tables(name: str, noun: str, *own: SchemaItem) -> tuple[Table, Table, Table]:
    """Describe a table with its own columns, its history, and the idempotency keys of its creations."""
    rows = _table(
        name,
        "SELECT, INSERT, UPDATE, DELETE",
        Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
        *own,
        Column("version", Integer, nullable=False, server_default=text("1")),
        _time("created_at"),
        _time("updated_at"),
        CheckConstraint("version >= 1", name="version_positive"),
    )
    # What was done to each row; entries are only ever added, and stay when the row is deleted.
    changes = _table(
        f"{name}_change",
        "SELECT, INSERT",
        Column(f"{noun}_id", Uuid, primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("action", String(20), nullable=False),
        Column(noun, JSONB(none_as_null=True)),
        Column("subject", Text),
        Column("client_id", Text),
        Column("request_id", Text),
        _time("changed_at", func.clock_timestamp()),
        CheckConstraint(f"action IN ({', '.join(map(repr, ACTIONS))})", name="action_known"),
        # What there is after a change: nothing, when it was a deletion.
        CheckConstraint(f"(action = 'deleted') = ({noun} IS NULL)", name=f"{noun}_as_it_was_after"),
    )
    # Which row a caller's key has created; what was answered is in the history of that row.
    keys = _table(
        f"{name}_idempotency_key",
        "SELECT, INSERT, UPDATE",
        Column("caller", Text, primary_key=True),
        Column("key", String(255), primary_key=True),
        Column(f"{noun}_id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
        _time("created_at"),
    )
    return rows, changes, keys


def _table(name: str, grants: str, *items: SchemaItem) -> Table:
    # What migrations/roles.sql lets the API's role do; a test compares them.
    return Table(name, metadata, *items, info={"grants": grants})


def _time(name: str, default: Any = None) -> Column[Any]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=False,
        server_default=func.now() if default is None else default,
    )
