"""What would come of a change, as `validate_only` shows it; imported by requests that ask for that."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from shared.database.driver import Statement
from shared.database.versioned import Outcome
from shared.differences import FieldChange, show_differences
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas.preview import (
    BundlePreview,
    BundlesPreview,
    DeletionPreview,
    RowWarned,
    TokenBundlePreview,
    Warned,
)
from shared.token_bundles.schemas.read import show_bundle, show_editable_fields
from shared.token_bundles.warnings import Figures, warn

# As searches compare a name; one that psql, say, has written is not folded, or as it was.
FOLDED = "CASE WHEN mine.name_when_folded = mine.name THEN mine.name_folded ELSE lower(mine.name) END"
# Of the state as it would be, what a bundle meets among the others on sale, which are read once.
FIGURES = """
SELECT json_build_object(given.id, json_build_object(
    'is_any_active', EXISTS (SELECT FROM public.token_bundle WHERE is_active),
    'others', met.others, 'median', met.median, 'better', met.better, 'worse', met.worse,
    'has_twin', EXISTS (
        SELECT FROM public.token_bundle AS other WHERE other.id <> mine.id AND {folded_other} = {folded}
    )
))::text
FROM (SELECT $1::uuid AS id) AS given
LEFT JOIN public.token_bundle AS mine ON mine.id = given.id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS others,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY other.price::float8 / other.token_amount) AS median,
        min(other.name COLLATE "C") FILTER (
            WHERE other.token_amount >= mine.token_amount AND other.price <= mine.price
        ) AS better,
        min(other.name COLLATE "C") FILTER (
            WHERE other.token_amount <= mine.token_amount AND other.price >= mine.price
        ) AS worse
    FROM public.token_bundle AS other
    WHERE other.is_active AND other.id <> mine.id
) AS met
""".replace("{folded}", FOLDED).replace("{folded_other}", FOLDED.replace("mine.", "other."))
# The same of many, without reading all of the others for each: what comes before a bundle by its amount has
# a price that is no higher, or it has not; and a rank tells which is the middle without the bundle itself.
FIGURES_OF_MANY = """
WITH compared AS MATERIALIZED (
    SELECT
        bundle.*,
        min(ARRAY[price, place]) FILTER (WHERE is_active) OVER (
            ORDER BY token_amount DESC, price, place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS better,
        max(ARRAY[price, place]) FILTER (WHERE is_active) OVER (
            ORDER BY token_amount, price DESC, place DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS worse
    FROM (
        SELECT
            id, name, price, token_amount, is_active, {folded} AS folded,
            price::float8 / token_amount AS per_token, row_number() OVER () AS place
        FROM public.token_bundle AS mine
        WHERE is_active OR id = ANY ($1::uuid[])
    ) AS bundle
), on_sale AS MATERIALIZED (
    SELECT count(*) AS number, array_agg(per_token ORDER BY per_token) AS sorted
    FROM compared
    WHERE is_active
)
SELECT json_object_agg(mine.id, json_build_object(
    'is_any_active', on_sale.number > 0,
    'others', among.others, 'better', better.name, 'worse', worse.name,
    'median', (
        SELECT avg(sorted[middle + coalesce(middle >= among.rank, false)::integer])
        FROM unnest(ARRAY[(among.others + 1) / 2, among.others / 2 + 1]) AS middle
    ),
    'has_twin', mine.folded IN (
        SELECT {folded} FROM public.token_bundle AS mine GROUP BY 1 HAVING count(*) > 1
    )
))::text
FROM on_sale
CROSS JOIN compared AS mine
CROSS JOIN LATERAL (
    SELECT
        on_sale.number - mine.is_active::integer AS others,
        CASE WHEN mine.is_active THEN width_bucket(mine.per_token, on_sale.sorted) END AS rank
) AS among
LEFT JOIN compared AS better ON better.place = mine.better[2] AND mine.better[1] <= mine.price
LEFT JOIN compared AS worse ON worse.place = mine.worse[2] AND mine.worse[1] >= mine.price
WHERE mine.id = ANY ($1::uuid[])
""".replace("{folded}", FOLDED)
# What only a change that is made has.
UNKNOWN = {"version", "updated_at"}
UNKNOWN_OF_NEW = {"id", "created_at", *UNKNOWN}


def foresee(*bundle_ids: UUID) -> Statement:
    """Write the statement that selects the figures of bundles once they are changed."""
    if len(bundle_ids) == 1:
        return FIGURES, bundle_ids
    return FIGURES_OF_MANY, [f"{{{','.join(map(str, bundle_ids))}}}"]


def show_preview(outcome: Outcome[TokenBundle], foreseen: str, *, is_new: bool) -> BundlePreview:
    """Show what would come of a change of one bundle, or of the creation of a new one."""
    bundle, changes, warnings = _show(outcome, json.loads(foreseen), UNKNOWN_OF_NEW if is_new else UNKNOWN)
    return {"validate_only": True, "bundle": bundle, "changes": changes, "warnings": warnings}


def show_previews(outcomes: Sequence[Outcome[TokenBundle]], foreseen: str) -> BundlesPreview:
    """Show what would come of a change of many bundles."""
    figures = json.loads(foreseen)
    shown = [_show(outcome, figures, UNKNOWN, f"/bundles/{place}") for place, outcome in enumerate(outcomes)]
    return {
        "validate_only": True,
        "bundles": [bundle for bundle, _, _ in shown],
        "changes": [changes for _, changes, _ in shown],
        "warnings": [warned for _, _, warnings in shown for warned in warnings],
    }


def warn_of_rows(
    rows: Iterable[tuple[int, TokenBundle | None, TokenBundle]], foreseen: str
) -> list[RowWarned]:
    """Return the warnings of what rows of a file change, given what is before and after."""
    figures = json.loads(foreseen)
    return [
        {"code": warned["code"], "row": row, "column": warned["pointer"][1:], "detail": warned["detail"]}
        for row, before, after in rows
        for warned in warn(before, after, Figures(**figures[str(after.id)]))
    ]


def show_deletion(before: TokenBundle | None, foreseen: str, message: str) -> DeletionPreview:
    """Show what would come of a deletion."""
    return {
        "validate_only": True,
        "message": message,
        "changes": show_differences(show_editable_fields(before), {}),
        "warnings": warn(before, None, Figures(**next(iter(json.loads(foreseen).values())))),
    }


def _show(
    outcome: Outcome[TokenBundle], foreseen: dict[str, Any], unknown: set[str], place: str = ""
) -> tuple[TokenBundlePreview, dict[str, FieldChange], list[Warned]]:
    """Show a bundle as it would be, its changes, and its warnings, whose pointers begin with the place."""
    after = outcome.settled()
    before = after if outcome.outcome in {"replayed", "unchanged"} else outcome.before
    bundle = {name: value for name, value in show_bundle(after).items() if name not in unknown}
    changes = show_differences(show_editable_fields(before), show_editable_fields(after))
    # There are no figures of what an idempotency key has created before.
    figures = Figures(**foreseen.get(str(after.id), {}))
    warnings: list[Warned] = [
        {**warned, "pointer": place + warned["pointer"]} for warned in warn(before, after, figures)
    ]
    return cast("TokenBundlePreview", bundle), changes, warnings
