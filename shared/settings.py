"""What the environment says, read when first needed."""

import math
import os
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

import iso4217

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """A setting is missing or wrong; the message is a sentence that names it."""


class Currency(NamedTuple):
    """An ISO 4217 currency: its code and how many decimals its amounts have."""

    code: str
    decimals: int


class Timeouts(NamedTuple):
    """How long to wait for Postgres, in seconds: altogether well under the functions' own timeout."""

    connect: float = 2
    statement: float = 3
    lock: float = 2


class Settings:
    """The settings of one process, each checked when it is first read."""

    @cached_property
    def default_currency(self) -> Currency:
        """The currency of every price: `DEFAULT_CURRENCY`, EUR when it is not set."""
        code = os.environ.get("DEFAULT_CURRENCY") or "EUR"
        try:
            decimals = iso4217.Currency(code).exponent
        except ValueError:
            decimals = None
        if decimals is None:
            raise SettingsError(
                f"DEFAULT_CURRENCY must be an ISO 4217 code of a currency such as EUR, not {code!r}."
            )
        return Currency(code, decimals)

    @cached_property
    def database_url(self) -> str:
        """Where Postgres is: `DATABASE_URL`, as `postgresql://user:password@host:port/name`."""
        url = os.environ.get("DATABASE_URL")
        if not url:
            raise SettingsError(
                "DATABASE_URL is not set: it must be postgresql://user:password@host:port/name."
            )
        # The value is left out of the sentence: it may hold a password.
        try:
            parts = urlsplit(url)
            complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and parts.port != 0
        except ValueError:
            complete = False
        if not complete or parts.scheme not in {"postgresql", "postgres"}:
            raise SettingsError("DATABASE_URL must be postgresql://user:password@host:port/name.")
        return url

    @cached_property
    def database_connect_timeout(self) -> float:
        """Seconds for Postgres to accept a connection: `DATABASE_CONNECT_TIMEOUT`."""
        return _seconds("DATABASE_CONNECT_TIMEOUT", Timeouts().connect)

    @cached_property
    def database_statement_timeout(self) -> float:
        """Seconds for Postgres to answer a statement: `DATABASE_STATEMENT_TIMEOUT`."""
        return _seconds("DATABASE_STATEMENT_TIMEOUT", Timeouts().statement)

    @cached_property
    def database_lock_timeout(self) -> float:
        """Seconds to wait for a row that somebody else is changing: `DATABASE_LOCK_TIMEOUT`."""
        return _seconds("DATABASE_LOCK_TIMEOUT", Timeouts().lock)

    @cached_property
    def database_pooled(self) -> bool:
        """Whether a pooler is in between, which refuses startup parameters: `DATABASE_POOLED`."""
        value = os.environ.get("DATABASE_POOLED") or "false"
        if value.lower() not in {"true", "false"}:
            raise SettingsError(f"DATABASE_POOLED must be true or false, not {value!r}.")
        return value.lower() == "true"

    @cached_property
    def log_level(self) -> str:
        """The least level that is logged: `LOG_LEVEL`, INFO when it is not set."""
        level = (os.environ.get("LOG_LEVEL") or "INFO").upper()
        if level not in LOG_LEVELS:
            raise SettingsError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {level!r}.")
        return level


def _seconds(name: str, default: float) -> float:
    value = os.environ.get(name) or str(default)
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        raise SettingsError(f"{name} must be a number of seconds above 0, not {value!r}.")
    return seconds


settings = Settings()
