"""The statements, the models and the tables fit each other."""

from dataclasses import fields
from itertools import permutations
from typing import Any, get_args

import pytest
from sqlalchemy import Table

from migrations.runner import make_engine
from shared.database.versioned import ACTIONS, VersionedTable
from shared.settings import Timeouts
from shared.token_bundles import repository as token_bundles
from shared.token_bundles import tables as token_bundle_tables
from shared.token_bundles.catalogue import ON_SALE, ONE
from shared.token_bundles.preview import FIGURES, FIGURES_OF_MANY
from shared.token_bundles.schemas.query import SortKey
from tests.conftest import CreateDatabase

ORDERS = [keys for number in (1, 2) for keys in permutations(get_args(SortKey), number)]
# Of each resource the table, and the statements on it.
TABLES: list[tuple[Table, VersionedTable[Any]]] = [(token_bundle_tables.BUNDLES, token_bundles.BUNDLES)]
FEEDS = [statements.feed_sql(actions) for _, statements in TABLES for actions in ((), ACTIONS)]
LISTS = [*map(token_bundles.find_sql, ORDERS)]


@pytest.mark.parametrize(("table", "statements"), TABLES, ids=[table.name for table, _ in TABLES])
def test_the_model_has_the_columns_of_the_table(table: Table, statements: VersionedTable[Any]) -> None:
    # The currency is the database's own.
    of_rows = [field.name for field in fields(statements.row) if field.name != "currency"]
    assert of_rows == [column.name for column in table.columns if column.name not in statements.derived]


def test_postgres_prepares_every_statement(create_database: CreateDatabase, migrated_database: str) -> None:
    common = [sql for _, own in TABLES for name, sql in vars(own).items() if name.endswith("_sql")]
    engine = make_engine(create_database(copy_of=migrated_database), Timeouts())
    with engine.connect() as connection:
        # Nobody may put another table before ours.
        connection.exec_driver_sql("SET search_path TO ''")
        for sql in [*common, *LISTS, *FEEDS, FIGURES, FIGURES_OF_MANY, ON_SALE, ONE]:
            connection.exec_driver_sql(f"PREPARE statement AS {sql}")
            connection.exec_driver_sql("DEALLOCATE statement")
    engine.dispose()
    assert len(common) == 10 * len(TABLES)
    assert len(ORDERS) == 14 + 14 * 13
