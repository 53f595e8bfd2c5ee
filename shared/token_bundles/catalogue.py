"""What the shop shows: JSON that Postgres writes as it goes to the caller, each in one statement."""

from uuid import UUID

from shared.database import reading
from shared.database.versioned import OTHER_CURRENCY, SAME_CURRENCY
from shared.errors import NotFoundError, OtherCurrencyError
from shared.settings import settings

MAX_BUNDLES = 1000

# The currency is $1 and its decimals are $2. A price has exactly these, or all that it has if those are more.
SHOWN = """
    SELECT
        bundle.id, bundle.code, bundle.name, bundle.description, bundle.token_amount,
        (CASE
            WHEN scale(trim_scale(bundle.price)) <= $2::integer THEN round(bundle.price, $2)
            ELSE trim_scale(bundle.price)
        END)::text AS price,
        $1::text AS currency, bundle.is_active, bundle.sort_order,
        to_char(bundle.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at,
        to_char(bundle.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at
    FROM public.token_bundle AS bundle
"""
# Before the JSON it says whether there are more.
ON_SALE = f"""
SELECT CASE WHEN {SAME_CURRENCY} THEN concat(
    EXISTS (SELECT FROM public.token_bundle WHERE is_active OFFSET {MAX_BUNDLES}),
    json_build_object('bundles', coalesce(json_agg(shown), '[]'))
) ELSE '{OTHER_CURRENCY}' END
FROM (
    {SHOWN} WHERE bundle.is_active ORDER BY bundle.sort_order, bundle.name, bundle.id LIMIT {MAX_BUNDLES}
) AS shown
"""  # noqa: S608 - nothing in it comes from a caller
ONE = f"""
SELECT CASE WHEN {SAME_CURRENCY} THEN json_build_object('bundle', shown)::text ELSE '{OTHER_CURRENCY}' END
FROM ({SHOWN} WHERE bundle.id = $3) AS shown
"""  # noqa: S608 - as above


def bundles_on_sale() -> tuple[str, bool]:
    """Return the JSON of the first active bundles, in display order, and whether there are more."""
    text = _select(ON_SALE)
    return text[1:], text.startswith("t")


def bundle_as_sold(bundle_id: UUID) -> str:
    """Return the JSON of one bundle, active or not; raises NotFoundError."""
    return _select(ONE, bundle_id)


def _select(sql: str, *parameters: UUID) -> str:
    currency = settings.default_currency
    with reading() as connection:
        text = connection.execute(sql, currency.code, currency.decimals, *parameters)
    if text is None:
        raise NotFoundError
    if text == OTHER_CURRENCY:
        raise OtherCurrencyError
    return text
