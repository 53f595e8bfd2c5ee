"""The statements, the model and the tables fit each other."""

from dataclasses import fields
from itertools import permutations
from typing import get_args

from migrations.runner import make_engine
from shared.settings import Timeouts
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.repository import BUNDLES, find_sql
from shared.token_bundles.schemas import SortKey
from shared.token_bundles.tables import BUNDLES as TABLE
from tests.conftest import CreateDatabase

SORT_KEYS = get_args(SortKey)
ORDERS = [keys for number in (1, 2) for keys in permutations(SORT_KEYS, number)]
STATEMENTS = [sql for name, sql in vars(BUNDLES).items() if name.endswith("_sql")] + list(
    map(find_sql, ORDERS)
)


def test_the_model_has_the_columns_of_the_table() -> None:
    assert [field.name for field in fields(TokenBundle)] == [column.name for column in TABLE.columns]


def test_postgres_prepares_every_statement(create_database: CreateDatabase, migrated_database: str) -> None:
    engine = make_engine(create_database(copy_of=migrated_database), Timeouts())
    with engine.connect() as connection:
        for sql in STATEMENTS:
            connection.exec_driver_sql(f"PREPARE statement AS {sql}")
            connection.exec_driver_sql("DEALLOCATE statement")
    engine.dispose()
    assert len(STATEMENTS) == 5 + 12 + 12 * 11
