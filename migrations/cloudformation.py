"""The answer that CloudFormation waits for.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

RESOURCE_ID = "database-migration"
SECONDS = 5


def answer(event: Mapping[str, Any], failure: str | None) -> None:
    """Tell CloudFormation that the resource is there, or what has failed."""
    body = {
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": failure or "The database is at the head of the migrations.",
        "PhysicalResourceId": event.get("PhysicalResourceId") or RESOURCE_ID,
        **{name: event.get(name, "") for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 - the address is CloudFormation's own
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
        pass
