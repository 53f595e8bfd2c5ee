"""The speed limit: event in, JSON out, with the same SQL, psycopg's C part, orjson, and no framework."""

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
import psycopg

from shared.database import Statement
from shared.token_bundles import repository

Event = Mapping[str, Any]
Answer = dict[str, Any]
Execute = Callable[[dict[str, Any]], Any]

READ, WRITE = "token-bundles:read", "token-bundles:write"
FIELDS = ("name", "description", "token_amount", "price", "is_active", "sort_order")
PAGE = repository._find(repository.DISPLAY_ORDER, include_inactive=True, by_name=False)  # noqa: SLF001


class Limit:
    """All routes, without validation, problem answers or any other error."""

    def __init__(self, database_url: str) -> None:
        """Connect, and have every statement prepared by its second execution."""
        self.cursor = psycopg.RawCursor(psycopg.connect(database_url, autocommit=True, prepare_threshold=1))
        self.page = self._prepared(PAGE)
        self.one = self._prepared(repository._get())  # noqa: SLF001
        self.changes = self._prepared(repository._find_changes())  # noqa: SLF001
        self.created = self._prepared(repository._create(FIELDS, keyed=False))  # noqa: SLF001
        self.keyed = self._prepared(repository._create(FIELDS, keyed=True))  # noqa: SLF001
        self.updated = self._prepared(repository._update(("price",)))  # noqa: SLF001
        self.switched = self._prepared(repository._update(("is_active",)))  # noqa: SLF001
        self.deleted = self._prepared(repository._delete())  # noqa: SLF001
        self.functions: dict[str, Callable[[Event], Answer]] = {
            "list_token_bundles": self.list_bundles,
            "get_token_bundle": self.get,
            "list_token_bundle_changes": self.history,
            "create_token_bundle": self.create,
            "update_token_bundle": self.update,
            "activate_token_bundle": partial(self.switch, is_active=True),
            "deactivate_token_bundle": partial(self.switch, is_active=False),
            "delete_token_bundle": self.delete,
        }

    def _prepared(self, statement: Statement) -> Execute:
        return lambda parameters: self.cursor.execute(statement.sql, statement.values(parameters))

    def list_bundles(self, event: Event) -> Answer:
        """Answer one page."""
        _admit(event, READ)
        page, per_page = _page(event)
        rows = self.page({"limit": per_page, "offset": (page - 1) * per_page}).fetchall()
        return _list([_bundle(row) for row in rows if row[0]], rows[0][-1], page, per_page)

    def get(self, event: Event) -> Answer:
        """Answer one bundle."""
        _admit(event, READ)
        return _answer(self.one({"bundle_id": _id(event)}).fetchone())

    def history(self, event: Event) -> Answer:
        """Answer what was done to a bundle."""
        _admit(event, READ)
        page, per_page = _page(event)
        parameters = {"bundle_id": _id(event), "limit": per_page, "offset": (page - 1) * per_page}
        rows = self.changes(parameters).fetchall()
        return _list([_change(row) for row in rows], rows[0][-1], page, per_page)

    def create(self, event: Event) -> Answer:
        """Create a bundle."""
        given = orjson.loads(event["body"])
        parameters = {f"given_{field}": given.get(field) for field in FIELDS}
        parameters |= {"given_is_active": True, "given_sort_order": 0}
        key = event["headers"].get("idempotency-key")
        parameters |= {**_admit(event, WRITE), "action": "created", "key": key}
        parameters["caller"] = parameters["subject"]
        create = self.keyed if key else self.created
        return _answer(create(parameters).fetchone(), 201)

    def update(self, event: Event) -> Answer:
        """Change the price."""
        parameters = {"given_price": orjson.loads(event["body"])["price"], "action": "updated"}
        return self._changed(event, self.updated, parameters)

    def switch(self, event: Event, *, is_active: bool) -> Answer:
        """Activate or deactivate."""
        action = "activated" if is_active else "deactivated"
        return self._changed(event, self.switched, {"given_is_active": is_active, "action": action})

    def delete(self, event: Event) -> Answer:
        """Delete."""
        parameters = _admit(event, WRITE) | {"bundle_id": _id(event), "expected": None, "action": "deleted"}
        self.deleted(parameters).fetchone()
        return {"statusCode": 200, "body": '{"message":"The token bundle is deleted."}'}

    def _changed(self, event: Event, execute: Execute, parameters: dict[str, Any]) -> Answer:
        expected = event["headers"].get("if-match")
        parameters |= _admit(event, WRITE) | {"bundle_id": _id(event)}
        parameters["expected"] = [int(expected.strip('"'))] if expected else None
        return _answer(execute(parameters).fetchone())


def _admit(event: Event, scope: str) -> dict[str, Any]:
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    if scope not in claims["scope"].split():
        raise PermissionError(scope)
    request_id = event["requestContext"]["requestId"]
    return {"subject": claims["sub"], "client_id": claims.get("client_id"), "request_id": request_id}


def _id(event: Event) -> uuid.UUID:
    return uuid.UUID(event["rawPath"].split("/")[5])


def _page(event: Event) -> tuple[int, int]:
    query = event.get("queryStringParameters") or {}
    return int(query.get("page", 1)), int(query.get("per_page", 20))


def _bundle(row: Any) -> dict[str, Any]:
    return {
        "id": row[0],
        "name": row[1],
        "description": row[2],
        "token_amount": row[3],
        "price": f"{row[4]:.2f}",
        "currency": "EUR",
        "is_active": row[5],
        "sort_order": row[6],
        "version": row[7],
        "created_at": row[8],
        "updated_at": row[9],
    }


def _change(row: Any) -> dict[str, Any]:
    before, after = (orjson.loads(snapshot) if snapshot else {} for snapshot in (row[7], row[8]))
    changes = {
        field: {"from": before.get(field), "to": after.get(field)}
        for field in FIELDS
        if before.get(field) != after.get(field)
    }
    return {
        "version": row[1],
        "action": row[2],
        "changes": changes,
        "changed_by": row[3],
        "client_id": row[4],
        "request_id": row[5],
        "changed_at": row[6],
    }


def _json(body: Any) -> str:
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def _answer(row: Any, status: int = 200) -> Answer:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "ETag": f'"{row[7]}"'},
        "body": _json({"bundle": _bundle(row)}),
    }


def _list(items: list[dict[str, Any]], total: int, page: int, per_page: int) -> Answer:
    pages = -(-total // per_page)
    body = {"items": items, "total": total, "page": page, "per_page": per_page, "pages": pages}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": _json(body)}
