"""HTTP over Lambda: the only package that knows Powertools."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from shared.http.answers import answer
from shared.http.api import Api
from shared.http.conditional import IfMatch, IfNoneMatch
from shared.http.idempotency import IdempotencyKey

__all__ = ["Api", "IdempotencyKey", "IfMatch", "IfNoneMatch", "Query", "Response", "answer"]
