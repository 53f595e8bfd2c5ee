"""What would come of a change, as `validate_only` shows it; imported by requests that ask for that."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

from shared.database.driver import Statement
from shared.database.versioned import Outcome
from shared.differences import FieldChange, show_differences
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas.history import show_editable_fields
from shared.token_bundles.schemas.preview import (
    BundlePreview,
    BundlesPreview,
    DeletionPreview,
    TokenBundlePreview,
    Warned,
)
from shared.token_bundles.schemas.read import show_bundle
from shared.token_bundles.warnings import Figures, warn

# As searches compare a name; one that psql, say, has written is not folded, or as it was.
FOLDED = """CASE
            WHEN bundle.name_when_folded = bundle.name THEN bundle.name_folded ELSE lower(bundle.name)
        END"""
# Of the state as it would be: how many bundles are active, and what each of some meets among the others.
FIGURES = """
WITH active AS MATERIALIZED (
    SELECT
        id, name, price, token_amount, count(*) OVER () AS number,
        row_number() OVER (ORDER BY price::float8 / token_amount, id) AS place
    FROM public.token_bundle
    WHERE is_active
), mine AS MATERIALIZED (
    SELECT
        bundle.*, active.place,
        coalesce((SELECT number FROM active LIMIT 1), 0) - (active.id IS NOT NULL)::integer AS others,
        {folded} AS folded
    FROM public.token_bundle AS bundle
    LEFT JOIN active ON active.id = bundle.id
    WHERE bundle.id = ANY ($1::uuid[])
)
SELECT json_build_object('active', coalesce((SELECT number FROM active LIMIT 1), 0), 'figures', (
    SELECT coalesce(json_object_agg(mine.id, met), '{}')
    FROM mine
    CROSS JOIN LATERAL (
        SELECT
            mine.others,
            -- The one in the middle without this bundle, or the two.
            array_agg(ARRAY[other.price::text, other.token_amount::text]) FILTER (
                WHERE other.place - (coalesce(other.place > mine.place, false))::integer
                    IN ((mine.others + 1) / 2, mine.others / 2 + 1)
            ) AS middle,
            min(other.name) FILTER (
                WHERE other.token_amount >= mine.token_amount AND other.price <= mine.price
            ) AS better,
            min(other.name) FILTER (
                WHERE other.token_amount <= mine.token_amount AND other.price >= mine.price
            ) AS worse,
            mine.folded IN (
                SELECT {folded} FROM public.token_bundle AS bundle GROUP BY 1 HAVING count(*) > 1
            ) AS has_twin
        FROM active AS other
        WHERE other.id <> mine.id
    ) AS met
))::text
""".replace("{folded}", FOLDED)
# What only a change that is made has.
UNKNOWN = {"version", "updated_at"}
UNKNOWN_OF_NEW = {"id", "created_at", *UNKNOWN}


def foresee(bundle_ids: Iterable[UUID]) -> Statement:
    """Write the statement that selects the figures of bundles once they are changed."""
    return FIGURES, [f"{{{','.join(map(str, bundle_ids))}}}"]


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


def show_deletion(before: TokenBundle | None, foreseen: str, message: str) -> DeletionPreview:
    """Show what would come of a deletion."""
    return {
        "validate_only": True,
        "message": message,
        "changes": show_differences(show_editable_fields(before), {}),
        "warnings": warn(before, None, Figures(active=json.loads(foreseen)["active"])),
    }


def _show(
    outcome: Outcome[TokenBundle], foreseen: dict[str, Any], unknown: set[str], place: str = ""
) -> tuple[TokenBundlePreview, dict[str, FieldChange], list[Warned]]:
    """Show a bundle as it would be, its changes, and its warnings, whose pointers begin with the place."""
    after = outcome.settled()
    before = after if outcome.outcome in {"replayed", "unchanged"} else outcome.before
    bundle = {name: value for name, value in show_bundle(after).items() if name not in unknown}
    changes = show_differences(show_editable_fields(before), show_editable_fields(after))
    warnings: list[Warned] = [
        {**warned, "pointer": place + warned["pointer"]}
        for warned in warn(before, after, _figures(foreseen, after.id))
    ]
    return cast("TokenBundlePreview", bundle), changes, warnings


def _figures(foreseen: dict[str, Any], bundle_id: UUID) -> Figures:
    # There are none of a bundle that is as it was, because a key is replayed.
    met = foreseen["figures"].get(str(bundle_id), {})
    return Figures(active=foreseen["active"], **met)
