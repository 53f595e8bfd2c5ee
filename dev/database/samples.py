"""Bundles to look at: a dozen that could be a shop's, or as many as wanted."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic_core import to_json

from shared.callers import Caller
from shared.changes import Change
from shared.database.connection import connect
from shared.settings import Timeouts, settings
from shared.token_bundles import queries, service
from shared.token_bundles.repository import with_folded_name
from shared.token_bundles.schemas.create import TokenBundleCreate
from shared.token_bundles.schemas.query import TokenBundleListQuery

SAMPLER = Caller(subject="sample-data", client_id=None, request_id=None)
# name, description, tokens, price in euros, active
SAMPLES = (
    ("Taster", "A first look, for a single afternoon.", 1_000, "0.99", True),
    ("Starter", "For a small project and a few experiments.", 10_000, "8.90", True),
    ("Hobby", "A month of evenings.", 25_000, "18.90", True),
    ("Creator", "For people who publish every week.", 50_000, "34.90", True),
    ("Professional", "For daily work.", 100_000, "59.90", True),
    ("Team", "Shared by up to ten people.", 250_000, "129", True),
    ("Business", "For a department, with room to grow.", 1_000_000, "449", True),
    ("Enterprise", "For a whole company.", 10_000_000, "3900", True),
    ("Top-up small", None, 5_000, "4.90", True),
    ("Top-up large", None, 20_000, "16.90", True),
    ("Summer special", "Was on sale in July and August.", 30_000, "14.90", False),
    ("Early adopter", "For the customers of the first year.", 75_000, "29", False),
)
# How much of a currency that has other decimals than the euro is about a euro.
UNITS_OF_A_EURO = {0: Decimal(160), 3: Decimal("0.33"), 4: Decimal("0.025")}

SERIES = ("Aurora", "Cobalt", "Delta", "Ember", "Fjäll", "Granite", "Harbour", "Indigo", "Juniper", "Lumen",
          "Meadow", "Nimbus", "Onyx", "Prairie", "Quartz", "Summit", "Tidal", "Zenith")  # fmt: skip
CUSTOMERS = ("Agency", "Author", "Classroom", "Club", "Developer", "Editor", "Family", "Founder", "Lab",
             "Library", "Newsroom", "Research", "School", "Studio", "Support", "Team")  # fmt: skip
KINDS = ("bundle", "credit", "pack", "refill", "reserve", "top-up")
STEPS = tuple(10**power * tenths // 10 for power in (3, 4, 5, 6) for tenths in (10, 15, 20, 30, 50, 75))
# Falling, because whoever buys more pays less for each.
EUROS_OF_A_TOKEN = tuple(Decimal(100 - 3 * step).scaleb(-5) for step in range(len(STEPS)))
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = int(timedelta(days=1_000).total_seconds())

CHUNK = 5_000
TIMEOUTS = Timeouts(connect=5, statement=60, lock=10)
# One statement, so that no bundle is ever without its history. What is there or once was stays as it is, so
# that the same command goes on where it was interrupted.
CREATE = """
    WITH created AS (
        INSERT INTO public.token_bundle
            (id, code, name, description, token_amount, price, is_active, sort_order, created_at, updated_at,
            name_folded, name_when_folded)
        SELECT id, code, name, description, token_amount, price, is_active, sort_order, created_at,
            created_at, name_folded, name_when_folded
        FROM json_populate_recordset(NULL::public.token_bundle, $1) AS bundle
        WHERE NOT EXISTS (SELECT FROM public.token_bundle_change WHERE bundle_id = bundle.id)
        ON CONFLICT DO NOTHING
        RETURNING *
    ), recorded AS (
        INSERT INTO public.token_bundle_change (bundle_id, version, action, bundle, subject, changed_at)
        SELECT
            id, version, 'created', to_jsonb(created) - '{name_folded,name_when_folded}'::text[],
            $2, created_at
        FROM created
    )
    SELECT count(*) FROM created
"""


def create_samples() -> int:
    """Create the dozen when there are no bundles at all, and return how many were created."""
    if queries.list_bundles(TokenBundleListQuery(per_page=1))["total"]:
        return 0
    for position, (name, description, token_amount, euros, is_active) in enumerate(SAMPLES):
        bundle = TokenBundleCreate(
            code=name.lower().replace(" ", "-"),
            name=name,
            description=description,
            token_amount=token_amount,
            price=_price(Decimal(euros)),
            is_active=is_active,
            sort_order=position * 10,
        )
        service.create_bundle(bundle, Change(SAMPLER))
    return len(SAMPLES)


def load(number: int, tell: Callable[[int], None] = lambda _: None) -> int:
    """Have the first `number` of the made-up bundles in the database, and return how many were missing.

    After each transaction `tell` is given the number of bundles that it was about.
    """
    missing = 0
    with connect(settings.database_url, TIMEOUTS) as connection:
        bundles = made_up_bundles()
        while chunk := list(islice(bundles, min(CHUNK, number))):
            parameters = to_json([*map(with_folded_name, chunk)]).decode(), SAMPLER.subject
            (created,) = connection.execute_pipelined(CREATE, parameters, prepared=False)
            missing += int(created)
            number -= len(chunk)
            tell(len(chunk))
        # The planner would go by what the table was like before.
        connection.execute_simple("ANALYZE public.token_bundle, public.token_bundle_change")
    return missing


def made_up_bundles() -> Iterator[dict[str, Any]]:
    """Make up bundles without end, always the same ones."""
    random = Random(0)  # noqa: S311 - no secret
    for number in count(1):
        step = random.randrange(len(STEPS))
        token_amount = STEPS[step] // 100 * random.randint(100, 119)
        customer = random.choice(CUSTOMERS)
        yield {
            "id": uuid5(NAMESPACE_URL, f"token-bundle:{number}"),
            "code": f"sample-{number}",
            "name": f"{random.choice(SERIES)} {customer} {random.choice(KINDS)}",
            "description": f"{token_amount:,} tokens for every {customer.lower()}." if number % 3 else None,
            "token_amount": token_amount,
            "price": _price(token_amount * EUROS_OF_A_TOKEN[step]),
            "is_active": random.randrange(10) > 0,
            "sort_order": random.randrange(0, 1_000, 10),
            "created_at": FIRST_DAY + timedelta(seconds=random.randrange(SECONDS)),
        }


def _price(euros: Decimal) -> Decimal:
    """Turn euros into the default currency; with other decimals, into a round price of a likely length."""
    units = UNITS_OF_A_EURO.get(settings.default_currency.decimals)
    return Decimal(f"{euros * units:.2g}") if units else round(euros, 2)
