"""The database knows the currency of its prices, and nobody shows or stores them in another."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import migrate
import pg8000.native
import pytest

from tests.client import Answer, request
from tests.conftest import CreateDatabase, use_settings
from tests.integration import at_once
from tests.integration.conftest import assert_unavailable, functions_with
from tests.integration.test_migrate import context
from tests.postgres import connected, execute, recorded
from tests.waiting import until

VALID = at_once.VALID | {"price": 9}
KEY = {"Idempotency-Key": "key"}
DETAIL = "The system's currency is not the one of its prices: nothing has been shown or changed."


@pytest.fixture
def url(create_database: CreateDatabase, migrated_database: str) -> Iterator[str]:
    """A database in euros."""
    url = create_database(copy_of=migrated_database)
    with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        yield url


def change(currency: str) -> dict[str, Any]:
    return migrate.handler({"command": "currency", "currency": currency}, context())


def everything(url: str) -> Any:
    tables = ("token_bundle", "token_bundle_change", "token_bundle_idempotency_key", "default_currency")
    return [execute(url, f"SELECT to_jsonb(t)::text FROM {table} AS t ORDER BY 1") for table in tables]


class TestAnotherCurrency:
    def requests(self, bundle: dict[str, Any]) -> list[Answer]:
        path = f"/{bundle['id']}"
        return [
            request("GET"),
            request("GET", path),
            request("GET", path, headers={"If-None-Match": '"1"'}),
            request("GET", f"{path}/history"),
            request("POST", json_body=VALID),
            request("POST", json_body=VALID, headers=KEY),
            request("POST", json_body=VALID, headers={"Idempotency-Key": "another"}),
            request("PUT", path, json_body={"price": "1"}),
            request("PATCH", path, json_body={}),
            request("PATCH", path, json_body={"name": "x"}, headers={"If-Match": '"7"'}),
            request("POST", f"{path}/activate"),
            request("POST", f"{path}/deactivate"),
            request("DELETE", path),
        ]

    def test_neither_shows_nor_changes_anything(self, url: str) -> None:
        bundle = request("POST", json_body=VALID, headers=KEY).bundle
        before = everything(url)
        for currency in ("JPY", "USD"):
            with use_settings(DEFAULT_CURRENCY=currency):
                for answer in self.requests(bundle):
                    assert_unavailable(answer, DETAIL)
        assert everything(url) == before
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    def test_is_noticed_by_an_environment_that_is_warm(self, url: str) -> None:
        bundle = request("POST", json_body=VALID).bundle
        change("JPY")
        before = everything(url)
        for answer in self.requests(bundle):
            assert_unavailable(answer, DETAIL)
        assert everything(url) == before

    def test_fails_the_deploy(self, url: str) -> None:
        with use_settings(DEFAULT_CURRENCY="JPY"), pytest.raises(RuntimeError) as failed:
            migrate.handler({"command": "upgrade"}, context())
        assert "are in EUR, and DEFAULT_CURRENCY is JPY" in str(failed.value)
        assert "the command `currency JPY`" in str(failed.value)
        assert migrate.handler({"command": "upgrade"}, context())["after"]
        assert execute(url, "SELECT code FROM default_currency") == [["EUR"]]


class TestPriceOfAnotherCurrency:
    """What psql has written with more decimals than the currency has."""

    def test_is_shown_as_it_is_and_not_overwritten(self, url: str) -> None:
        values = "(name, token_amount, price) VALUES ('n', 1, 9.995), ('m', 1, 9.5000)"
        execute(url, recorded(f"INSERT INTO token_bundle {values}", "created"))
        shown = request("GET", query={"sort": "price"}).json["items"]
        assert [item["price"] for item in shown] == ["9.50", "9.995"]
        assert request("PUT", f"/{shown[1]['id']}", json_body=shown[1]).status == 400

    def test_keeps_the_migration_from_naming_the_currency(self, create_database: CreateDatabase) -> None:
        url = create_database()
        with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="JPY"):
            migrate.handler({"command": "upgrade", "revision": "0003"}, context())
            values = "(name, token_amount, price) VALUES ('n', 1, 9.90) RETURNING id::text"
            [[unfit]] = execute(url, f"INSERT INTO token_bundle {values}")
            with pytest.raises(RuntimeError, match=f"JPY has 0 decimals.*{unfit}"):
                migrate.handler({"command": "upgrade"}, context())


class TestChange:
    def test_makes_a_version_of_every_bundle(self, url: str) -> None:
        first, second = (
            request("POST", json_body=VALID | {"price": price}, headers=key).bundle
            for price, key in ((10, KEY), ("2.5", {}))
        )
        request("PATCH", f"/{second['id']}", json_body={"price": "3.00", "name": "Three"})
        tags = [request("GET", f"/{bundle['id']}").headers["etag"] for bundle in (first, second)]
        change("JPY")

        with use_settings(DEFAULT_CURRENCY="JPY"):
            assert migrate.handler({"command": "upgrade"}, context())["after"]
            for bundle, tag, price, version in zip((first, second), tags, ("10", "3"), (2, 3), strict=True):
                answer = request("GET", f"/{bundle['id']}", headers={"If-None-Match": tag})
                assert answer.status == 200
                shown = answer.bundle
                assert (shown["price"], shown["currency"], shown["version"]) == (price, "JPY", version)
                assert shown["updated_at"] > bundle["updated_at"]
                # Who sends back what is shown changes nothing.
                same = {name: shown[name] for name in VALID}
                assert request("PUT", f"/{bundle['id']}", json_body=same).bundle == shown
            history = request("GET", f"/{second['id']}/history").json["items"]
            assert [(entry["action"], entry["changes"].get("price")) for entry in history] == [
                ("currency_changed", {"from": "3.00", "to": "3"}),
                ("updated", {"from": "2.50", "to": "3.00"}),
                ("created", {"from": None, "to": "2.50"}),
            ]
            assert history[0]["changes"]["currency"] == {"from": "EUR", "to": "JPY"}
            assert [("currency" in entry["changes"]) for entry in history] == [True, False, False]
            # What was answered then is answered again.
            replayed = request("POST", json_body=VALID | {"price": 10}, headers=KEY)
            assert (replayed.status, replayed.bundle) == (201, first)

    def test_is_refused_when_a_price_does_not_fit(self, url: str) -> None:
        request("POST", json_body=VALID | {"price": 10})
        unfit = request("POST", json_body=VALID | {"price": "0.50"}).bundle
        before = everything(url)
        with pytest.raises(RuntimeError) as refused:
            change("JPY")
        assert unfit["id"] in str(refused.value)
        assert "0.5" not in str(refused.value)
        assert everything(url) == before
        change("KWD")
        with use_settings(DEFAULT_CURRENCY="KWD"):
            assert request("GET", f"/{unfit['id']}").bundle["price"] == "0.500"

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE default_currency SET code = 'JPY'",
            "UPDATE default_currency SET code = 'eur'",
            "DELETE FROM default_currency",
            "TRUNCATE default_currency",
            "INSERT INTO default_currency (is_only, code) VALUES (false, 'JPY')",
        ],
    )
    def test_is_not_made_by_psql(self, url: str, statement: str) -> None:
        request("POST", json_body=VALID)
        before = everything(url)
        with pytest.raises(pg8000.native.DatabaseError):
            execute(url, statement)
        assert everything(url) == before

    def test_finds_its_way_out_of_no_currency(self, url: str) -> None:
        request("POST", json_body=VALID)
        execute(url, "ALTER TABLE default_currency DISABLE TRIGGER USER", "DELETE FROM default_currency")
        assert_unavailable(request("GET"), DETAIL)
        with pytest.raises(RuntimeError, match="are in None"):
            migrate.handler({"command": "upgrade"}, context())
        for _ in range(2):
            change("EUR")
            assert [item["version"] for item in request("GET").json["items"]] == [2]

    @pytest.mark.parametrize("code", ["", "XXX", "eur", "EURO", "'; DROP TABLE token_bundle; --", None])
    def test_is_to_a_currency(self, url: str, code: str | None) -> None:
        before = everything(url)
        with pytest.raises(RuntimeError, match="ISO 4217"):
            change(code)  # type: ignore[arg-type]
        assert everything(url) == before

    def test_to_the_same_is_none(self, url: str) -> None:
        request("POST", json_body=VALID)
        before = everything(url)
        change("EUR")
        assert everything(url) == before

    def test_a_write_at_the_same_moment_is_before_or_not_at_all(self, url: str) -> None:
        """It waits, and then sees the currency that came meanwhile."""
        bundle = request("POST", json_body=VALID | {"price": 1}).bundle
        with connected(url) as other, ThreadPoolExecutor(1) as threads:
            other.run("SET session_replication_role = replica")
            other.run("BEGIN")
            other.run("LOCK TABLE token_bundle IN SHARE ROW EXCLUSIVE MODE")
            write = threads.submit(request, "PATCH", f"/{bundle['id']}", json_body={"price": "0.50"})
            until(lambda: other.run("SELECT FROM pg_locks WHERE NOT granted"))
            other.run("UPDATE default_currency SET code = 'JPY'")
            other.run("COMMIT")
            assert_unavailable(write.result(), DETAIL)
        assert execute(url, "SELECT price::text FROM token_bundle") == [["1.0000"]]
