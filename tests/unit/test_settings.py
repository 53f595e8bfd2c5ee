"""The settings."""

import iso4217
import pytest

from shared.settings import CURRENCIES, SettingsError
from tests.conftest import use_settings


class TestDefaultCurrency:
    @pytest.mark.parametrize(
        ("code", "currency"),
        [(None, ("EUR", 2)), ("", ("EUR", 2)), ("JPY", ("JPY", 0)), ("KWD", ("KWD", 3)), ("CLF", ("CLF", 4))],
    )
    def test_has_its_decimals(self, code: str | None, currency: tuple[str, int]) -> None:
        with use_settings(DEFAULT_CURRENCY=code) as settings:
            assert settings.default_currency == currency

    def test_are_those_of_iso_4217(self) -> None:
        decimals = {code: number for number, codes in CURRENCIES.items() for code in codes.split()}
        assert decimals == {
            known.code: known.exponent for known in iso4217.Currency if known.exponent is not None
        }

    @pytest.mark.parametrize("code", ["euro", "EURO", "XAU", "eur", "€", "ZZZ"])
    def test_must_be_one(self, code: str) -> None:
        with use_settings(DEFAULT_CURRENCY=code) as settings, pytest.raises(SettingsError) as error:
            _ = settings.default_currency
        assert str(error.value).startswith("DEFAULT_CURRENCY must be")


class TestDatabaseUrl:
    @pytest.mark.parametrize(
        "url",
        ["postgresql://u:p@host:5432/name", "postgres://u@[::1]/name", "postgresql://u@h/n?sslmode=disable"],
    )
    def test_is_read(self, url: str) -> None:
        with use_settings(DATABASE_URL=url) as settings:
            assert settings.database_url == url

    @pytest.mark.parametrize(
        "url",
        [
            None, "", "nonsense", "mysql://u:s3cret@h/n", "postgresql://h/n", "postgresql://u@/n", "postgresql://u@h",
            "postgresql://u@h/", "postgresql://u:s3cret@h:port/n", "postgresql://u:s3cret@h:0/n", "postgresql://u@[h/n",
        ],
    )  # fmt: skip
    def test_must_be_complete(self, url: str | None) -> None:
        with use_settings(DATABASE_URL=url) as settings, pytest.raises(SettingsError) as error:
            _ = settings.database_url
        assert str(error.value).startswith("DATABASE_URL ")
        assert "s3cret" not in str(error.value)


class TestTimeouts:
    @pytest.mark.parametrize(("kind", "default"), [("connect", 2), ("statement", 3), ("lock", 2)])
    def test_are_read(self, kind: str, default: float) -> None:
        name = f"database_{kind}_timeout"
        for given, seconds in ((None, default), ("", default), ("0.5", 0.5)):
            with use_settings(**{name.upper(): given}) as settings:
                assert getattr(settings, name) == seconds

    @pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "2s"])
    def test_must_be_above_0(self, seconds: str) -> None:
        with use_settings(DATABASE_LOCK_TIMEOUT=seconds) as settings, pytest.raises(SettingsError) as error:
            _ = settings.database_lock_timeout
        assert str(error.value).startswith("DATABASE_LOCK_TIMEOUT must be")


class TestLogLevel:
    @pytest.mark.parametrize(("given", "level"), [(None, "INFO"), ("debug", "DEBUG"), ("ERROR", "ERROR")])
    def test_is_read(self, given: str | None, level: str) -> None:
        with use_settings(LOG_LEVEL=given) as settings:
            assert settings.log_level == level

    def test_must_be_one(self) -> None:
        with use_settings(LOG_LEVEL="loud") as settings, pytest.raises(SettingsError, match="LOG_LEVEL"):
            _ = settings.log_level
