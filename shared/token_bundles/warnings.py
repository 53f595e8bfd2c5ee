"""What is worth a second look in a change of a bundle, and forbids nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import isclose

from shared.settings import currency
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas.preview import Warned, WarningCode

FEWEST_TO_COMPARE = 3
# A price per token is known to some 15 digits: what differs less is alike.
ALIKE = 1e-14


@dataclass
class Figures:
    """What a bundle meets in the state as it would be.

    `others` is how many are active without it, `median` their price per token; `better` and `worse` are names
    of others that give no less for no more, or the reverse.
    """

    is_any_active: bool = True
    others: int = 0
    median: float | None = None
    better: str | None = None
    worse: str | None = None
    has_twin: bool = False


def warn(before: TokenBundle | None, after: TokenBundle | None, figures: Figures) -> list[Warned]:
    """Return the warnings of a change, of which there is nothing before a creation and after a deletion."""
    warnings = [] if after is None else list(_warnings_of_what_is(before, after, figures))
    if not figures.is_any_active and before and before.is_active and not (after and after.is_active):
        pointer = "" if after is None else "/is_active"
        warnings.append(_warned("last_active", pointer, "It is the last one on sale: nothing would be left."))
    return warnings


def _warnings_of_what_is(
    before: TokenBundle | None, after: TokenBundle, figures: Figures
) -> Iterator[Warned]:
    if before and _is_far(float(after.price), float(before.price)):
        was, will_be = (_amount(bundle.price, bundle) for bundle in (before, after))
        yield _warned("price_changed_much", "/price", f"The price goes from {was} to {will_be}.")
    if figures.median is not None and figures.others >= FEWEST_TO_COMPARE:
        per_token = float(after.price) / after.token_amount
        if _is_far(per_token, figures.median):
            own, usual = (_amount(1000 * price, after) for price in (per_token, figures.median))
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


def _is_far(price: float, usual: float) -> bool:
    return price * (1 - ALIKE) > 2 * usual or 2 * price < usual * (1 - ALIKE)


def _amount(amount: Decimal | float, bundle: TokenBundle) -> str:
    """Write an amount of the bundle's currency, a small one with two digits that are not 0."""
    known = currency(bundle.currency)
    decimals = known.decimals if known else 2
    exact = float(amount)
    while 0 < exact < 10 * 10**-decimals and not isclose(round(exact, decimals), exact, rel_tol=ALIKE):
        decimals += 1
    return f"{amount:,.{decimals}f} {bundle.currency}"
