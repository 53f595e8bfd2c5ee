"""Postgres: the connection of one Lambda environment, and what it knows of the tables."""

from shared.database.engine import Connection, Statement, connect_at_init, reading, writing
from shared.database.metadata import metadata

__all__ = ["Connection", "Statement", "connect_at_init", "metadata", "reading", "writing"]
