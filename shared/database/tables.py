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
# What Python's calendar has, and no infinity.
REPRESENTABLE = "BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'"


def _table(name: str, grants: str, *items: SchemaItem) -> sa.Table:
    # What the migrations let the API's role do; a test compares them.
    return sa.Table(name, metadata, *items, info={"grants": grants})


# The currency that all prices are in.
DEFAULT_CURRENCY = _table(
    "default_currency",
    "SELECT",
    sa.Column("is_only", sa.Boolean, primary_key=True, server_default=sa.true()),
    sa.Column("code", sa.String(3), nullable=False),
    sa.CheckConstraint("is_only", name="is_only"),
    sa.CheckConstraint("code ~ '^[A-Z]{3}$'", name="code_of_iso_4217"),
)


def versioned_tables(name: str, noun: str, *own: SchemaItem) -> tuple[sa.Table, sa.Table, sa.Table]:
    """Describe a table with its own columns, its history, and the idempotency keys of its creations."""
    # A row is never without its entry in the history, whoever writes. No column that an update sets may be
    # in a unique index without a predicate: it would wait for all who refer to the row by a foreign key.
    entry = sa.ForeignKeyConstraint(["id", "version"], [f"{name}_change.{noun}_id", f"{name}_change.version"])
    rows = _table(
        name,
        "SELECT, INSERT, UPDATE, DELETE",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        *own,
        sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")),
        _time("created_at", sa.func.now()),
        _time("updated_at", sa.func.now()),
        sa.CheckConstraint("version >= 1", name="version_positive"),
        sa.CheckConstraint(
            f"created_at {REPRESENTABLE} AND updated_at {REPRESENTABLE}", name="times_representable"
        ),
        entry,
    )
    # What was done to each row; entries are only ever added, and stay when the row is deleted.
    changes = _table(
        f"{name}_change",
        "SELECT, INSERT",
        sa.Column(f"{noun}_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column(noun, JSONB(none_as_null=True)),
        sa.Column(
            "currency", sa.String(3), nullable=False, server_default=sa.text("public.current_currency()")
        ),
        sa.Column("subject", sa.Text),
        sa.Column("client_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("reason", sa.String(200)),
        _time("changed_at", sa.func.clock_timestamp()),
        sa.CheckConstraint(f"action IN {ACTIONS}", name="action_known"),
        sa.CheckConstraint("version >= 1", name="version_positive"),
        sa.CheckConstraint(f"changed_at {REPRESENTABLE}", name="time_representable"),
        # What there is after a change: nothing, when it was a deletion.
        sa.CheckConstraint(f"(action = 'deleted') = ({noun} IS NULL)", name=f"{noun}_as_it_was_after"),
        *(sa.Index(None, *of, "changed_at", f"{noun}_id", "version") for of in ([], ["subject"], ["action"])),
    )
    # Which row a caller's key has created; what was answered is in the history of that row.
    keys = _table(
        f"{name}_idempotency_key",
        "SELECT, INSERT, UPDATE, DELETE",
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column(f"{noun}_id", sa.Uuid, nullable=False, server_default=sa.func.gen_random_uuid()),
        _time("created_at", sa.func.now()),
        # Expired ones are looked for.
        sa.Index(None, "created_at"),
    )
    return rows, changes, keys


def _time(name: str, default: sa.Function[Any]) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=default)
