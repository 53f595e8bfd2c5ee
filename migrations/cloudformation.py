"""The answer that CloudFormation waits for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

import json
import time
from bisect import bisect_right
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
    reason = failure or "The database is at the head of the migrations."
    outcome = {
        "Status": "FAILED" if failure else "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId") or RESOURCE_ID,
        **{name: event.get(name, "") for name in ("StackId", "RequestId", "LogicalResourceId")},
    }

    def body(length: int) -> bytes:
        text = json.dumps(outcome | {"Reason": reason[:length]}, ensure_ascii=False)
        return text.encode(errors="replace")

    fitting = bisect_right(range(1, len(reason) + 1), MAX_BYTES, key=lambda length: len(body(length)))
    request = Request(event["ResponseURL"], body(fitting), {"Content-Type": ""}, method="PUT")  # noqa: S310
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
