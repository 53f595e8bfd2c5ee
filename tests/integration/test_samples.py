"""The sample bundles: what a shop could have, and stored as the API would have stored them."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, pairwise
from typing import Any

import pytest

from dev.database import samples
from shared.token_bundles.schemas.create import TokenBundleCreate
from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.integration.conftest import functions_with
from tests.postgres import execute

WITHOUT_EACH_OTHER = """
    SELECT count(*) FROM token_bundle FULL JOIN token_bundle_change
        ON bundle_id = id AND token_bundle_change.version = token_bundle.version
            AND bundle = to_jsonb(token_bundle) - '{name_folded,name_when_folded}'::text[]
            AND changed_at = created_at
    WHERE id IS NULL OR bundle_id IS NULL
"""


@pytest.fixture
def own_database(create_database: CreateDatabase, migrated_database: str) -> Iterator[str]:
    url = create_database(copy_of=migrated_database)
    with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        yield url


def scalar(url: str, query: str) -> Any:
    [[value]] = execute(url, query)
    return value


class TestSamples:
    @pytest.mark.parametrize(("currency", "taster"), [("EUR", "0.99"), ("JPY", "160"), ("KWD", "0.330")])
    def test_whoever_buys_more_pays_less_for_each(
        self, own_database: str, currency: str, taster: str
    ) -> None:
        execute(own_database, f"UPDATE default_currency SET code = '{currency}'")
        with use_settings(DEFAULT_CURRENCY=currency):
            assert samples.create_samples() == len(samples.SAMPLES)
            items = request("GET", query={"sort": "token_amount", "per_page": "100"}).json["items"]

        assert items[0]["price"] == taster
        on_sale = [Decimal(item["price"]) / item["token_amount"] for item in items if item["is_active"]]
        assert 0 < len(on_sale) < len(items)
        assert all(more < less for less, more in pairwise(on_sale))

    def test_they_are_for_an_empty_database(self, own_database: str) -> None:
        request("POST", json_body={"name": "n", "token_amount": 1, "price": 1})

        assert samples.create_samples() == 0
        assert scalar(own_database, "SELECT count(*) FROM token_bundle") == 1


class TestMadeUpBundles:
    @pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD"])
    def test_the_api_would_take_them(self, currency: str) -> None:
        with use_settings(DEFAULT_CURRENCY=currency):
            bundles = list(islice(samples.made_up_bundles(), 500))
            for bundle in bundles:
                given = {name: bundle[name] for name in bundle.keys() - {"id", "created_at"}}
                assert TokenBundleCreate.model_validate(given).model_dump(exclude_unset=True) == given

        variety = {"id": 500, "name": 300, "price": 30, "token_amount": 200, "is_active": 2}
        for field, least in variety.items():
            assert len({bundle[field] for bundle in bundles}) >= least, field

    def test_they_are_always_the_same(self) -> None:
        first, second = (list(islice(samples.made_up_bundles(), 100)) for _ in range(2))

        assert first == second


class TestLoad:
    def test_each_bundle_has_the_history_that_the_api_would_have_written(self, own_database: str) -> None:
        told: list[int] = []

        assert samples.load(7_000, told.append) == 7_000

        assert told == [5_000, 2_000]
        assert scalar(own_database, "SELECT count(*) FROM token_bundle") == 7_000
        assert scalar(own_database, WITHOUT_EACH_OTHER) == 0
        (loaded,) = request("GET", query={"per_page": "1"}).json["items"]
        assert request("PATCH", f"/{loaded['id']}", json_body={"code": None}).status == 200
        given = {name: loaded[name] for name in TokenBundleCreate.model_fields}
        created = request("POST", json_body=given, subject=str(samples.SAMPLER.subject)).bundle
        histories = [
            request("GET", f"/{bundle['id']}/history").json["items"][-1:] for bundle in (loaded, created)
        ]
        for history in histories:
            history[0] |= {"changed_at": "", "request_id": ""}
        assert histories[0] == histories[1]

    def test_it_goes_on_where_it_was_interrupted(self, own_database: str) -> None:
        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            samples.load(10_001, interrupt)

        assert scalar(own_database, "SELECT count(*) FROM token_bundle") == 5_000
        assert scalar(own_database, WITHOUT_EACH_OTHER) == 0
        assert samples.load(10_001) == 5_001
        assert samples.load(10_001) == 0

    def test_what_was_changed_or_deleted_stays_so(self, own_database: str) -> None:
        samples.load(3)
        changed, deleted, _ = request("GET").json["items"]
        request("PATCH", f"/{changed['id']}", json_body={"name": "changed"})
        request("DELETE", f"/{deleted['id']}")

        assert samples.load(4) == 1
        assert scalar(own_database, "SELECT count(*) FROM token_bundle") == 3
        assert request("GET", f"/{changed['id']}").bundle["name"] == "changed"
