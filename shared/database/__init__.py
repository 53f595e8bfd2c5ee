"""Postgres: the connection of one Lambda environment, and the tables' common base."""

from shared.database.base import Base
from shared.database.engine import reading, transaction

__all__ = ["Base", "reading", "transaction"]
