"""HTTP over Lambda: the only package that knows Powertools."""

from shared.http.answers import answer
from shared.http.api import Api
from shared.http.conditional import IfMatch, IfNoneMatch
from shared.http.idempotency import IdempotencyKey
from shared.http.operation import Query
from shared.http.response import Response

__all__ = ["Api", "IdempotencyKey", "IfMatch", "IfNoneMatch", "Query", "Response", "answer"]
