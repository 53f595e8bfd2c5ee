"""The speed limit: event in, JSON out, with the same SQL, psycopg's C part, orjson, and no framework.

It answers right requests only: nothing is validated, and no error has an answer.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import orjson
import psycopg

from shared.token_bundles.catalogue import ON_SALE
from shared.token_bundles.repository import BUNDLES, find_sql
from shared.token_bundles.schemas.query import TokenBundleListQuery

Answer = dict[str, Any]
Handler = Callable[[Mapping[str, Any], None], Answer]

PAGE = find_sql(TokenBundleListQuery().sort)
READ, WRITE = "token-bundles:read", "token-bundles:write"


def handlers(database_url: str) -> dict[str, Handler]:
    """Connect, and return the handlers by the modules of ours that they stand in for."""
    session = psycopg.connect(database_url, autocommit=True, prepare_threshold=1, options="-c TimeZone=UTC")
    cursor = psycopg.RawCursor(session)

    def execute(sql: str, *parameters: Any) -> Any:
        found = cursor.execute(sql.encode(), ("EUR", *parameters)).fetchone()
        return orjson.loads(found[0])  # type: ignore[index]

    def list_token_bundles(event: Any, _: None) -> Answer:
        _caller(event, READ)
        query = event.get("queryStringParameters") or {}
        page, size = int(query.get("page", 1)), int(query.get("per_page", 20))
        found = execute(PAGE, size, (page - 1) * size, "true", "", "", None, None, None)
        items, total = [_bundle(row) for row in found["rows"]], found["total"]
        pages = -(-total // size)
        return _answer({"items": items, "total": total, "page": page, "per_page": size, "pages": pages})

    def get_token_bundle(event: Any, _: None) -> Answer:
        _caller(event, READ)
        return _bundle_answer(execute(BUNDLES.get_sql, _id(event)))

    def create_token_bundle(event: Any, _: None) -> Answer:
        defaults = {"id": str(uuid4()), "is_active": True, "sort_order": 0, "metadata": {}}
        values = {**defaults, **orjson.loads(event["body"])}
        entry = _json({"action": "created", **_caller(event, WRITE)})
        return _bundle_answer(execute(BUNDLES.create_sql, _json(values), entry, None)["row"], 201)

    def update_token_bundle(event: Any, _: None) -> Answer:
        given = {"id": _id(event), "excluded": [], "fields": orjson.loads(event["body"])}
        entry = _json({"action": "updated", **_caller(event, WRITE)})
        (outcome,) = execute(BUNDLES.update_sql, _json(given), entry, "false")
        return _bundle_answer(outcome["row"])

    def delete_token_bundle(event: Any, _: None) -> Answer:
        entry = _json({"action": "deleted", **_caller(event, WRITE)})
        execute(BUNDLES.delete_sql, _json({"id": _id(event), "excluded": []}), entry, "false")
        return _answer({"message": "The token bundle is deleted."})

    def list_catalogue(event: Any, _: None) -> Answer:
        found = cursor.execute(ON_SALE.encode(), ("EUR", "2")).fetchone()
        body = found[0][1:]  # type: ignore[index]
        tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        if event["headers"].get("if-none-match") == tag:
            return {"statusCode": 304, "headers": {"ETag": tag}, "body": ""}
        return {"statusCode": 200, "headers": {"ETag": tag}, "body": body}

    return {
        handler.__name__: handler
        for handler in (
            list_token_bundles,
            get_token_bundle,
            create_token_bundle,
            update_token_bundle,
            delete_token_bundle,
            list_catalogue,
        )
    }


def _caller(event: Any, scope: str) -> dict[str, str | None]:
    context = event["requestContext"]
    claims = context["authorizer"]["jwt"]["claims"]
    if scope not in claims["scope"].split():
        raise PermissionError(scope)
    client_id = claims.get("client_id")
    return {"subject": claims["sub"], "client_id": client_id, "request_id": context["requestId"]}


def _id(event: Any) -> str:
    return str(event["pathParameters"]["bundle_id"])


def _bundle(row: Any) -> dict[str, Any]:
    row["price"] = f"{row['price']:.2f}"
    for name in ("created_at", "updated_at"):
        row[name] = row[name].removesuffix("+00:00") + "Z"
    return row  # type: ignore[no-any-return]


def _bundle_answer(bundle: Any, status: int = 200) -> Answer:
    return _answer({"bundle": _bundle(bundle)}, status, ETag=f'"{bundle["version"]}"')


def _answer(body: Any, status: int = 200, **headers: str) -> Answer:
    headers["Content-Type"] = "application/json"
    return {"statusCode": status, "headers": headers, "body": _json(body)}


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
