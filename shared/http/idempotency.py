"""Retries that do nothing twice."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Header
from pydantic import StringConstraints

REPLAYED = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")] | None,
    Header(
        alias="Idempotency-Key",
        description="Create nothing when this key has been used in the last 24 hours.",
        examples=["0b6a2f3c-7a53-4d0e-9a55-5f0f6ad3c6f1"],
    ),
]
