"""What the environment says, read when first needed."""

import math
import os
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

METRICS_NAMESPACE = "TokenBundles"

# ISO 4217's currencies by their decimals: the package that has them reads XML, and a test compares the two.
CURRENCIES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE
        CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
        HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
        MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
        USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


class SettingsError(Exception):
    """A setting is missing or wrong; the message is a sentence that names it."""


class Currency(NamedTuple):
    """An ISO 4217 currency: its code and how many decimals its amounts have."""

    code: str
    decimals: int


# How long a request may wait for the database in all, its name, password and connection included.
REQUEST_SECONDS = 6


@cache
def currency(code: str) -> Currency | None:
    """Find a currency by its code."""
    return next((Currency(code, n) for n, codes in CURRENCIES.items() if code in codes.split()), None)


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
        if known := currency(code):
            return known
        raise SettingsError(f"DEFAULT_CURRENCY must be an ISO 4217 code such as EUR, not {code!r}.")

    @cached_property
    def database_url(self) -> str:
        """Where Postgres is: `DATABASE_URL`, as `postgresql://user:password@host:port/name`."""
        url = os.environ.get("DATABASE_URL", "")
        try:
            parts = urlsplit(url)
            complete = bool(parts.hostname and parts.username and parts.path.strip("/")) and parts.port != 0
        except ValueError:
            complete = False
        if not complete or parts.scheme not in {"postgresql", "postgres"}:
            # The value is left out of the sentence: it may hold a password.
            raise SettingsError("DATABASE_URL must be set to postgresql://user:password@host:port/name.")
        return url

    # Seconds for Postgres to accept a connection, to answer a statement, to wait for a row that is locked.
    database_connect_timeout = cached_property(lambda _: _seconds("DATABASE_CONNECT_TIMEOUT", 2))
    database_statement_timeout = cached_property(lambda _: _seconds("DATABASE_STATEMENT_TIMEOUT", 3))
    database_lock_timeout = cached_property(lambda _: _seconds("DATABASE_LOCK_TIMEOUT", 2))

    # Whom migrations let use the tables, when the API does not connect as their owner.
    database_api_role = cached_property(lambda _: os.environ.get("DATABASE_API_ROLE") or None)

    # Where the password comes from: the URL, a token that RDS takes, or Secrets Manager.
    database_auth = cached_property(lambda _: _one_of("DATABASE_AUTH", "url", "iam", "secret"))

    # Whether a pooler is in between, which refuses startup parameters that carry limits, and from which a
    # prepared statement costs repetitions. It is a matter of speed: the answers are right either way.
    database_pooled = cached_property(lambda _: _one_of("DATABASE_POOLED", "false", "true") == "true")

    # Whether a change must name the version that it means, so that nobody undoes what they have not seen.
    require_if_match = cached_property(lambda _: _one_of("REQUIRE_IF_MATCH", "false", "true") == "true")

    # Seconds for which the shop's answers may be kept.
    catalogue_max_age = cached_property(lambda _: math.ceil(_seconds("CATALOGUE_MAX_AGE", 60)))

    # What tells deployments apart in logs and metrics.
    service_name = cached_property(lambda _: os.environ.get("SERVICE_NAME") or "token-bundles")

    log_level = cached_property(
        lambda _: _one_of("LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR", "CRITICAL")
    )

    def scope(self, access: str, resource: str | None = None) -> str:
        """What the issuer calls a scope: `READ_SCOPE`, or of coupons, say, `COUPONS_READ_SCOPE`."""
        name = "_".join(filter(None, [resource, access, "scope"])).replace("-", "_").upper()
        return os.environ.get(name) or f"{resource or 'token-bundles'}:{access}"

    @cached_property
    def database_secret(self) -> str:
        """The Secrets Manager secret that has the password: `DATABASE_SECRET`, its name or ARN."""
        secret = os.environ.get("DATABASE_SECRET")
        if not secret:
            raise SettingsError("DATABASE_SECRET must name the secret, because DATABASE_AUTH is secret.")
        return secret

    @cached_property
    def database_ca_file(self) -> str | None:
        """Whom to trust to vouch for Postgres: the file `DATABASE_CA_FILE`, else the system's authorities."""
        path = os.environ.get("DATABASE_CA_FILE") or None
        if path and not Path(path).is_file():
            raise SettingsError(f"DATABASE_CA_FILE must be a file, and {path!r} is none.")
        return path


def _one_of(name: str, *choices: str) -> str:
    """Read a choice in any case; the first is the default."""
    value = os.environ.get(name) or choices[0]
    for choice in choices:
        if value.lower() == choice.lower():
            return choice
    raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


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
