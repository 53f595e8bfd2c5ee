"""What tests share: one embedded Postgres a run, and one migrated database that others are copied from."""

import gc
import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from dev.database.postgres import postgres
from shared.settings import Settings, settings
from tests.postgres import execute

# Where it is ignored, as behind `nohup`, no process that a test starts could be ended by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SETTING_NAMES = [name for name in vars(Settings) if not name.startswith("_")]

CreateDatabase = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def only_its_own_garbage() -> None:
    """Look for none in what other modules have left, which takes most of a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("server") / "data", durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def create_database(server_url: str) -> CreateDatabase:
    """Create a database, empty or a copy of another, and return its URL."""
    numbers = itertools.count(1)

    def create(copy_of: str | None = None) -> str:
        name = f"test_{next(numbers)}"
        template = make_url(copy_of).database if copy_of else "template1"
        execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
        return make_url(server_url).set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session")
def migrated_database(create_database: CreateDatabase) -> str:
    """Return the URL of a database at the head of the migrations, to be copied and never connected to."""
    url = create_database()
    with use_settings(DATABASE_URL=url):
        command.upgrade(Config(toml_file=ROOT / "pyproject.toml"), "head")
    return url


class use_settings:  # noqa: N801 - a context manager that reads like a call
    """Set environment variables and have the settings read again, within the block and after it."""

    def __init__(self, **variables: str | None) -> None:
        self.variables = variables
        self.patch = pytest.MonkeyPatch()

    def __enter__(self) -> Settings:
        for name, value in self.variables.items():
            if value is None:
                self.patch.delenv(name, raising=False)
            else:
                self.patch.setenv(name, value)
        self._forget()
        return settings

    def __exit__(self, *_: object) -> None:
        self.patch.undo()
        self._forget()

    @staticmethod
    def _forget() -> None:
        for name in SETTING_NAMES:
            settings.__dict__.pop(name, None)
