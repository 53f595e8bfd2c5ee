"""HTTP over Lambda: the only package that knows Powertools."""

import gc
import os

# While an environment is set up there are many new objects and hardly any garbage; looking for it is a tenth
# of a cold start. `Api` turns it on again when all is imported.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()

from shared.http.answers import answer
from shared.http.api import Api
from shared.http.conditional import IfMatch, IfNoneMatch
from shared.http.idempotency import IdempotencyKey
from shared.http.operation import Query
from shared.http.response import Response

__all__ = ["Api", "IdempotencyKey", "IfMatch", "IfNoneMatch", "Query", "Response", "answer"]
