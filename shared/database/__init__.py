"""Postgres: the connection of one Lambda environment, and what it knows of the tables."""

from shared.database.engine import Connection, Statement, reading, writing
from shared.database.metadata import metadata

__all__ = ["Connection", "Statement", "metadata", "reading", "writing"]
