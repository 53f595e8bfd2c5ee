"""What JSON Schema cannot say of valid bodies: loaded by Schemathesis, not by the tests."""

from typing import Any
from uuid import UUID

import schemathesis

CENTS = 2


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case[Any], __: dict[str, Any]) -> None:
    """Write the valid values that were generated as the contract wants them."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if is_valid and isinstance(sort := (case.query or {}).get("sort"), str):
        # Each key once, whichever way round.
        keys = {key.removeprefix("-"): key for key in sort.split(",")}
        case.query["sort"] = ",".join(keys.values())
    if is_valid and "after" in (case.query or {}):
        # Only an answer before says it.
        del case.query["after"]
    if is_valid and {"id", "code"} <= (case.query or {}).keys():
        # Together they may be too many.
        del case.query["code"]
    body: Any = case.body
    if is_valid and isinstance(body, dict):
        # An update may send back the id of its address, the only variable in that.
        row_id = next(iter((case.path_parameters or {}).values()), None)
        as_it_is = {"id": row_id, "currency": "EUR"}
        body = {name: as_it_is.get(name, _written(name, value)) for name, value in body.items()}
        if "bundles" in body:
            # Each once, however its id is written, and with something to change.
            entries = {
                UUID(entry["id"]) if entry.get("id") else entry.get("code"): entry
                for entry in body["bundles"]
            }
            body["bundles"] = [
                {"sort_order": 0, **{name: _written(name, value) for name, value in entry.items()}}
                for entry in entries.values()
            ]
        case.body = body


@schemathesis.serializer("text/csv", "application/vnd.ms-excel", "application/octet-stream")
def write_file(_: schemathesis.SerializationContext, value: object) -> bytes:
    """Write what is sent as a file, which are bytes or, to be wrong, anything else."""
    return value if isinstance(value, bytes) else str(value).encode()


def _written(name: str, value: Any) -> Any:
    match value:
        case float() if name != "price":
            # To JSON Schema 1.0 is an integer, to the contract it is none.
            return int(value)
        case float():
            # How many decimals a price may have depends on the currency: the gateway's is the euro.
            return round(value, CENTS)
        case str() if name == "name":
            # A character that can be seen; which cannot, would be thirty ranges of Unicode in a pattern.
            return f"x{value[1:]}"
        case _ if name == "currency":
            return "EUR"
        case str() if name == "price":
            whole, _, decimals = value.partition(".")
            return f"{whole}.{decimals[:CENTS]}" if decimals else whole
        case _:
            return value
