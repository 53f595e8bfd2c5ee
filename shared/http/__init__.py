"""HTTP over Lambda: what endpoints are made of."""

from shared import cold_start  # noqa: F401, I001 - before anything large is imported

from shared.http.conditional import Conditions, ConditionsOfRead, KnownTags
from shared.http.endpoint import endpoint
from shared.http.headers import IdempotencyKey
from shared.http.parameters import Query
from shared.http.responses import Response, respond, respond_to_anyone, respond_to_change, respond_with_file

__all__ = [
    "Conditions", "ConditionsOfRead", "IdempotencyKey", "KnownTags", "Query", "Response", "endpoint",
    "respond", "respond_to_anyone", "respond_to_change", "respond_with_file",
]  # fmt: skip
