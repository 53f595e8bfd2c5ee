"""Postgres: the connection of one Lambda environment, and the SQL of rows with a version and a history."""

from shared.database.connection import Connection, reading, writing

__all__ = ["Connection", "reading", "writing"]
