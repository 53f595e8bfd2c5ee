"""What is worth a second look in a change of a bundle, and forbids nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from shared.settings import currency
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas.preview import Warned, WarningCode

FEWEST_TO_COMPARE = 3

Rational = Decimal | Fraction


@dataclass
class Figures:
    """What a bundle meets in the state as it would be, in which so many are active.

    `middle` are price and token amount of the one or two `others` that are active and in the middle by their
    price per token; `better` and `worse` are names of others that give no less for no more, or the reverse.
    """

    active: int
    others: int = 0
    middle: Sequence[tuple[str, str]] | None = None
    better: str | None = None
    worse: str | None = None
    has_twin: bool = False


def warn(before: TokenBundle | None, after: TokenBundle | None, figures: Figures) -> list[Warned]:
    """Return the warnings of a change, of which there is nothing before a creation and after a deletion."""
    warnings = [] if after is None else list(_warnings_of_what_is(before, after, figures))
    if not figures.active and before and before.is_active and not (after and after.is_active):
        pointer = "" if after is None else "/is_active"
        warnings.append(_warned("last_active", pointer, "It is the last one on sale: nothing would be left."))
    return warnings


def _warnings_of_what_is(
    before: TokenBundle | None, after: TokenBundle, figures: Figures
) -> Iterator[Warned]:
    if before and _is_far(after.price, before.price):
        was, will_be = (_amount(Fraction(price), after) for price in (before.price, after.price))
        yield _warned("price_changed_much", "/price", f"The price goes from {was} to {will_be}.")
    if figures.middle and figures.others >= FEWEST_TO_COMPARE:
        per_token = Fraction(after.price) / after.token_amount
        prices = [Fraction(price) / int(tokens) for price, tokens in figures.middle]
        median = sum(prices, Fraction()) / len(prices)
        if _is_far(per_token, median):
            own, usual = (_amount(1000 * price, after) for price in (per_token, median))
            detail = f"1,000 tokens cost {own}; in the middle of the others on sale they cost {usual}."
            yield _warned("price_per_token_unusual", "/price", detail)
    if figures.better is not None:
        detail = f"“{figures.better}” gives at least as many tokens for at most this price."
        yield _warned("dominated", "/price", detail)
    elif figures.worse is not None:
        detail = f"It gives at least as many tokens as “{figures.worse}”, for at most the price of that."
        yield _warned("dominated", "/price", detail)
    if figures.has_twin:
        yield _warned("same_name", "/name", f"Another bundle is called “{after.name}”, too.")


def _warned(code: WarningCode, pointer: str, detail: str) -> Warned:
    return {"code": code, "pointer": pointer, "detail": detail}


def _is_far(price: Rational, usual: Rational) -> bool:
    return price > 2 * usual or 2 * price < usual


def _amount(amount: Fraction, bundle: TokenBundle) -> str:
    """Write an amount of the bundle's currency, a small one with two digits that are not 0."""
    known = currency(bundle.currency)
    decimals = known.decimals if known else 2
    while 0 < amount < 10 * Fraction(1, 10**decimals) and amount.limit_denominator(10**decimals) != amount:
        decimals += 1
    return f"{Decimal(amount.numerator) / amount.denominator:,.{decimals}f} {bundle.currency}"
