"""The answer that CloudFormation waits for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.request import HTTPError, Request, urlopen

RESOURCE_ID = "database-migration"
MAX_BYTES = 4096
# A deploy depends on this one request.
SECONDS, SECONDS_A_TRY, PAUSE = 30, 5, 2


def answer(event: Mapping[str, Any], failure: str | None) -> None:
    """Tell CloudFormation that the resource is there, or as much of what has failed as an answer may hold."""
    outcome = {
        "Status": "FAILED" if failure else "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId") or RESOURCE_ID,
        **{name: event.get(name, "") for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Reason": (failure or "The database is at the head of the migrations.")[:MAX_BYTES],
    }
    while len(body := json.dumps(outcome, ensure_ascii=False).encode(errors="replace")) > MAX_BYTES:
        outcome["Reason"] = outcome["Reason"][:-1]
    request = Request(event["ResponseURL"], body, {"Content-Type": ""}, method="PUT")  # noqa: S310
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(request, timeout=SECONDS_A_TRY):  # noqa: S310 - the address is CloudFormation's own
                return
        except (OSError, HTTPException) as error:
            refused = isinstance(error, HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            if refused or time.monotonic() + PAUSE + SECONDS_A_TRY > deadline:
                raise
        time.sleep(PAUSE)
