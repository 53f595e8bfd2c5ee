"""The rules of what comes in, over inputs that nobody thought of."""

from decimal import Decimal
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.http.problems import SENTENCES
from shared.token_bundles.schemas.create import TokenBundleCreate
from shared.token_bundles.schemas.query import TokenBundleListQuery
from shared.token_bundles.schemas.update import TokenBundleUpdate
from tests.conftest import use_settings

VALID = {"name": "n", "token_amount": 1, "price": "1"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text() | st.just("\ud800"),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


def created(**fields: Any) -> TokenBundleCreate:
    return TokenBundleCreate.model_validate(VALID | fields)


class TestPrice:
    @pytest.mark.parametrize(("code", "places"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
    @given(data=st.data())
    def test_every_amount_of_the_currency_is_kept_exactly(
        self, code: str, places: int, data: st.DataObject
    ) -> None:
        greatest = 10**8 - Decimal(1).scaleb(-places)
        price = data.draw(st.just(greatest) | st.decimals(0, greatest, places=places))
        with use_settings(DEFAULT_CURRENCY=code):
            assert created(price=price).price == price
            assert created(price=f"{price:f}").price == price

    @pytest.mark.parametrize(
        ("currency", "price", "why"),
        [
            ("JPY", "500.5", "decimal_max_places"),
            ("KWD", "1.2345", "decimal_max_places"),
            ("CLF", "1.23456", "decimal_max_places"),
            ("JPY", "100000000", "less_than_equal"),
            ("CLF", "100000000", "less_than_equal"),
        ],
    )
    def test_no_other_amount_is_one(self, currency: str, price: str, why: str) -> None:
        with use_settings(DEFAULT_CURRENCY=currency), pytest.raises(ValidationError) as error:
            created(price=price)
        assert [entry["type"] for entry in error.value.errors()] == [why]

    @given(st.decimals(0, 1, places=3).filter(lambda price: price != round(price, 2)))
    def test_never_rounded(self, price: Decimal) -> None:
        with pytest.raises(ValidationError):
            created(price=price)

    @given(st.text())
    def test_text_is_a_number_or_rejected(self, text: str) -> None:
        try:
            price = created(price=text).price
        except ValidationError:
            return
        assert price == Decimal(text)
        assert set(text) <= set("0123456789.eE+-")


class TestText:
    @given(st.text(max_size=300))
    def test_name_is_trimmed_and_kept(self, name: str) -> None:
        try:
            stored = created(name=name).name
        except ValidationError:
            return
        assert stored in normalize("NFC", name)
        assert 1 <= len(stored) <= 255
        assert stored == created(name=stored).name
        stored.encode()
        assert "\0" not in stored

    @given(st.text(min_size=1, max_size=2000).filter(lambda text: "\0" not in text))
    def test_description_is_kept_as_it_is(self, description: str) -> None:
        assert created(description=description).description == description


class TestIntegers:
    @given(st.integers())
    def test_token_amount_fits_the_database(self, amount: int) -> None:
        if 1 <= amount <= 2**31 - 1:
            assert created(token_amount=amount).token_amount == amount
        else:
            with pytest.raises(ValidationError):
                created(token_amount=amount)

    @given(st.integers(-(2**31), 2**31 - 1))
    def test_sort_order(self, order: int) -> None:
        assert created(sort_order=order).sort_order == order


class TestSentences:
    @given(st.dictionaries(st.sampled_from([*TokenBundleCreate.model_fields, "id", "x"]), json_values))
    def test_every_error_of_a_body_has_one(self, body: dict[str, Any]) -> None:
        for model in (TokenBundleCreate, TokenBundleUpdate):
            try:
                model.model_validate(body)
            except ValidationError as error:
                assert {entry["type"] for entry in error.errors()} <= SENTENCES.keys()

    @given(
        st.dictionaries(
            st.sampled_from([*TokenBundleListQuery.model_fields]), st.text() | st.integers().map(str)
        )
    )
    def test_every_error_of_a_query_has_one(self, query: dict[str, Any]) -> None:
        try:
            TokenBundleListQuery.model_validate(query | {"sort": query.get("sort", "name").split(",")})
        except ValidationError as error:
            assert {entry["type"] for entry in error.errors()} <= SENTENCES.keys()


class TestUpdate:
    @given(st.sets(st.sampled_from(["name", "token_amount", "price", "description"])))
    def test_what_is_absent_stays_absent(self, fields: set[str]) -> None:
        body = {field: value for field, value in (VALID | {"description": None}).items() if field in fields}
        assert TokenBundleUpdate.model_validate(body).model_dump(exclude_unset=True).keys() == fields
