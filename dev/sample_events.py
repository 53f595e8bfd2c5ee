"""An event for each function, for `sam local invoke`, a deployment's last check, and tests."""

import json
import re
from typing import Any

from dev.gateway.events import sample_event
from dev.gateway.template import local_template
from dev.local import ROOT

FOLDER = ROOT / "tests/events"
NO_ID = "00000000-0000-0000-0000-000000000000"
NOW = {"time": "26/Nov/2026:08:00:00 +0000", "timeEpoch": 1795680000000}


def sample_events(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Make an event for the first route of each function, with the body of the document's example."""
    events: dict[str, dict[str, Any]] = {}
    for route in local_template().routes:
        if route.function.module not in events:
            operation = document["paths"][route.path][route.method.lower()]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            body = json.dumps(content["example"]) if content else ""
            resource = "".join(route.scopes).partition(":")[0]
            caller = {"sub": "admin-1", "scope": f"{resource}:read {resource}:write"}
            claims = caller if route.authorized else None
            event = sample_event(route, re.sub("{.+?}", NO_ID, route.path), body=body, claims=claims)
            event["requestContext"] |= NOW
            del event["headers"]["x-amzn-trace-id"]
            events[route.function.module] = event
    return events


def write(document: dict[str, Any]) -> None:
    """Write the events as they are committed."""
    for module, event in sample_events(document).items():
        (FOLDER / f"{module}.json").write_text(json.dumps(event, indent=2) + "\n")
