"""What is worth a second look in a change."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from statistics import fmean
from uuid import UUID

import pytest

from shared.token_bundles.model import TokenBundle
from shared.token_bundles.warnings import Figures, warn

NOW = datetime(2026, 11, 26, tzinfo=UTC)
BUNDLE = TokenBundle(
    id=UUID(int=1),
    name="Starter",
    description=None,
    token_amount=1000,
    price=Decimal(10),
    currency="EUR",
    is_active=True,
    sort_order=0,
    version=1,
    created_at=NOW,
    updated_at=NOW,
)
ALONE = Figures()


def priced(price: str, tokens: int = 1000) -> TokenBundle:
    return replace(BUNDLE, price=Decimal(price), token_amount=tokens)


def among(*middle: tuple[int | float, int], others: int = 3) -> Figures:
    return Figures(others=others, median=fmean(price / tokens for price, tokens in middle))


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        ("10", "20", None),
        ("10", "20.01", "The price goes from 10.00 EUR to 20.01 EUR."),
        ("10", "5", None),
        ("10", "4.99", "The price goes from 10.00 EUR to 4.99 EUR."),
        ("10", "0", "The price goes from 10.00 EUR to 0.00 EUR."),
        ("0", "0.01", "The price goes from 0.00 EUR to 0.01 EUR."),
        ("0", "0", None),
        ("99999999.99", "1234567", "The price goes from 99,999,999.99 EUR to 1,234,567.00 EUR."),
    ],
)
def test_price_changed_much(before: str, after: str, detail: str | None) -> None:
    expected = [] if detail is None else [("price_changed_much", "/price", detail)]
    found = warn(priced(before), priced(after), ALONE)
    assert [tuple(one.values()) for one in found] == expected


def test_a_new_price_has_not_changed() -> None:
    assert warn(None, priced("0"), ALONE) == []


@pytest.mark.parametrize(
    ("price", "tokens", "figures", "detail"),
    [
        ("20", 1000, among((10, 1000)), None),
        (
            "20.01", 1000, among((10, 1000)),
            "1,000 tokens cost 20.01 EUR; in the middle of the others on sale they cost 10.00 EUR.",
        ),
        ("5", 1000, among((10, 1000)), None),
        (
            "4.99", 1000, among((10, 1000)),
            "1,000 tokens cost 4.99 EUR; in the middle of the others on sale they cost 10.00 EUR.",
        ),
        ("20.01", 1000, among((10, 1000), others=2), None),
        # Twice the mean of a third and two thirds, which no float is.
        ("1", 1, among((1, 3), (2, 3), others=4), None),
        (
            "1.01", 1, among((1, 3), (2, 3), others=4),
            "1,000 tokens cost 1,010.00 EUR; in the middle of the others on sale they cost 500.00 EUR.",
        ),
        (
            "0", 1000, among((0.01, 1_000_000)),
            "1,000 tokens cost 0.00 EUR; in the middle of the others on sale they cost 0.00001 EUR.",
        ),
        ("0", 1000, among((0, 1000)), None),
    ],
)  # fmt: skip
def test_price_per_token_unusual(price: str, tokens: int, figures: Figures, detail: str | None) -> None:
    expected = [] if detail is None else [("price_per_token_unusual", "/price", detail)]
    assert [tuple(one.values()) for one in warn(None, priced(price, tokens), figures)] == expected


@pytest.mark.parametrize(
    ("figures", "detail"),
    [
        (Figures(better="Big"), "“Big” gives at least as many tokens for at most this price."),
        (
            Figures(worse="Small"),
            "It gives at least as many tokens as “Small”, for at most the price of that.",
        ),
        (
            Figures(better="Big", worse="Small"),
            "“Big” gives at least as many tokens for at most this price.",
        ),
    ],
)
def test_dominated(figures: Figures, detail: str) -> None:
    assert [tuple(one.values()) for one in warn(None, BUNDLE, figures)] == [("dominated", "/price", detail)]


def test_same_name() -> None:
    (found,) = warn(BUNDLE, BUNDLE, Figures(has_twin=True))
    assert tuple(found.values()) == ("same_name", "/name", "Another bundle is called “Starter”, too.")


@pytest.mark.parametrize(
    ("before", "after", "active", "pointer"),
    [
        (BUNDLE, replace(BUNDLE, is_active=False), False, "/is_active"),
        (BUNDLE, None, False, ""),
        (BUNDLE, replace(BUNDLE, is_active=False), True, None),
        (BUNDLE, None, True, None),
        (replace(BUNDLE, is_active=False), None, False, None),
        (replace(BUNDLE, is_active=False), replace(BUNDLE, is_active=False), False, None),
        (None, replace(BUNDLE, is_active=False), False, None),
    ],
)
def test_last_active(
    before: TokenBundle | None, after: TokenBundle | None, active: bool, pointer: str | None
) -> None:
    detail = "It is the last one on sale: nothing would be left."
    expected = [] if pointer is None else [("last_active", pointer, detail)]
    assert [tuple(one.values()) for one in warn(before, after, Figures(is_any_active=active))] == expected


def test_an_amount_has_the_decimals_of_its_currency() -> None:
    yen = replace(BUNDLE, currency="JPY")
    (found,) = warn(replace(yen, price=Decimal(1000)), replace(yen, price=Decimal(1)), ALONE)
    assert found["detail"] == "The price goes from 1,000 JPY to 1 JPY."
