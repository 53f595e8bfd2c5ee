"""SQLAlchemy on the driver that the functions use."""

from sqlalchemy import Engine, create_engine, make_url

from shared.database.connection import connect
from shared.settings import Timeouts


def make_engine(database_url: str, timeouts: Timeouts) -> Engine:
    """Make an engine whose connections are made as the functions make theirs."""
    return create_engine(
        make_url(database_url).set(drivername="postgresql+pg8000", query={}),
        creator=lambda: connect(database_url, timeouts),
        hide_parameters=True,
    )
