"""What the shop sees, without a token."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import CATALOGUE, Answer, request
from tests.conftest import use_settings
from tests.integration.conftest import Counted

KEPT = "public, max-age=60, stale-while-revalidate=300"
FIELDS = [
    "id", "code", "name", "description", "token_amount", "price", "currency", "is_active", "sort_order",
    "created_at", "updated_at",
]  # fmt: skip


def shop(path: str = "", **options: Any) -> Answer:
    return request("GET", path, scope=None, collection=CATALOGUE, **options)


def create(name: str, **fields: Any) -> dict[str, Any]:
    answer = request("POST", json_body={"name": name, "token_amount": 1000, "price": "9.9"} | fields)
    assert answer.status == 201, answer.text
    return answer.bundle


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [bundle["name"] for bundle in answer.json["bundles"]]


@pytest.mark.usefixtures("connection")
class TestList:
    def test_nothing_is_on_sale(self) -> None:
        assert shop().text == '{"bundles" : []}'

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_what_is_active_in_display_order(self, slash: str) -> None:
        create("B")
        create("A")
        create("Z", sort_order=-1)
        create("Hidden", is_active=False)
        assert names(shop(slash)) == ["Z", "A", "B"]

    def test_a_bundle_is_as_admins_see_it_but_for_what_is_theirs(self) -> None:
        made = create('“Ünï” \\ "', description="a\nb", metadata={"secret": "x"}, code="c-1")
        (shown,) = shop().json["bundles"]
        assert list(shown) == FIELDS
        assert shown == {name: made[name] for name in FIELDS}
        assert shown["price"] == "9.90"

    def test_nothing_is_below_it(self) -> None:
        answer = shop("/a/b")
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")

    def test_it_ignores_what_it_does_not_know(self) -> None:
        create("A")
        assert names(shop(query={"page": "x", "utm_source": "mail"})) == ["A"]

    def test_a_token_changes_nothing(self) -> None:
        create("A")
        answer = request("GET", collection=CATALOGUE, scope="something:else")
        assert (names(answer), answer.headers["etag"]) == (["A"], shop().headers["etag"])


@pytest.mark.usefixtures("connection")
class TestOne:
    def test_what_was_sold_is_shown_when_it_is_not_on_sale_any_more(self) -> None:
        made = create("Old", is_active=False)
        answer = shop(f"/{made['id']}")
        assert (answer.status, answer.bundle) == (200, {name: made[name] for name in FIELDS})
        assert answer.headers["cache-control"] == KEPT

    @pytest.mark.parametrize("row_id", ["5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51", "no-uuid", "%00"])
    def test_there_is_none(self, row_id: str) -> None:
        answer = shop(f"/{row_id}")
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
        assert answer.json["error"] == "It does not exist, or not any more."
        assert "vary" not in answer.headers


@pytest.mark.usefixtures("connection")
class TestCaches:
    def test_may_keep_it_for_a_while(self) -> None:
        headers = shop().headers
        assert (headers["cache-control"], headers["vary"]) == (KEPT, "Origin")
        with use_settings(CATALOGUE_MAX_AGE="5"):
            assert shop().headers["cache-control"] == KEPT.replace("60", "5")

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*", " {} , "])
    @pytest.mark.parametrize("of_one", [False, True])
    def test_have_it(self, form: str, of_one: bool) -> None:
        path = f"/{create('A')['id']}" if of_one else ""
        tag = shop(path).headers["etag"]
        answer = shop(path, headers={"if-none-match": form.format(tag)})
        assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", tag)
        assert (answer.headers["cache-control"], answer.headers["vary"]) == (KEPT, "Origin")

    @pytest.mark.parametrize("form", ['"x"', "", "garbage", "{}x", "x{}", '"1"'])
    def test_have_something_else(self, form: str) -> None:
        tag = shop().headers["etag"]
        assert shop(headers={"if-none-match": form.format(tag)}).status == 200

    def test_have_what_has_changed(self) -> None:
        made = create("A")
        before = shop().headers["etag"]
        request("PATCH", f"/{made['id']}", json_body={"metadata": {"only": "admins"}})
        request("PATCH", f"/{made['id']}", json_body={"price": "1"})
        after = shop(headers={"if-none-match": before})
        assert after.status == 200
        assert after.headers["etag"] != before

    def test_if_match_means_nothing_here(self) -> None:
        assert shop(headers={"if-match": '"7"'}).status == 200


class TestPrices:
    @pytest.mark.parametrize(
        ("currency", "stored", "shown"),
        [
            ("JPY", "9", "9"), ("JPY", "9.5", "9.5"), ("JPY", "100", "100"), ("EUR", "0", "0.00"),
            ("EUR", "9.9", "9.90"), ("EUR", "9.9999", "9.9999"), ("EUR", "99999999.99", "99999999.99"),
            ("KWD", "1.5", "1.500"), ("KWD", "1.2345", "1.2345"),
        ],
    )  # fmt: skip
    def test_are_written_as_for_admins(
        self, connection: Connection, currency: str, stored: str, shown: str
    ) -> None:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE default_currency SET code = :code"), {"code": currency})
        connection.execute(
            text("INSERT INTO token_bundle (name, token_amount, price) VALUES ('n', 1, :price)"),
            {"price": stored},
        )
        with use_settings(DEFAULT_CURRENCY=currency):
            (bundle,) = shop().json["bundles"]
            (of_admins,) = request("GET").json["items"]
        assert (bundle["price"], bundle["currency"]) == (shown, currency)
        assert bundle["price"] == of_admins["price"]

    @pytest.mark.usefixtures("connection")
    @pytest.mark.parametrize("of_one", [False, True])
    def test_of_another_currency_are_not_shown(self, of_one: bool) -> None:
        path = f"/{create('A')['id']}" if of_one else ""
        with use_settings(DEFAULT_CURRENCY="JPY"):
            answer = shop(path)
        assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")


def test_more_than_it_shows_is_counted(connection: Connection, counted: Counted) -> None:
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    fill = "INSERT INTO token_bundle (name, token_amount, price) SELECT n, 1, 1 FROM generate_series(1, {}) n"
    connection.execute(text(fill.format(1000)))
    assert len(shop().json["bundles"]) == 1000
    assert counted() == []
    connection.execute(text(fill.format(1)))
    assert len(shop().json["bundles"]) == 1000
    assert counted() == ["CatalogueCut"]
