"""What many would pick instead: FastAPI, SQLAlchemy's ORM and psycopg, doing the same work."""
# ruff: noqa: D101, D103 - their names are all there is to say

import asyncio
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Numeric, String, Text, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

BUNDLES = "/api/v1/admin/token-bundles"
CATALOGUE = "/api/v1/token-bundles"
ANYBODY = {"sub": "benchmark", "scope": "token-bundles:read"}

app = FastAPI()
engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"),
    pool_size=1,
    # It writes a change in several statements, which what keeps the history complete would refuse.
    connect_args={"options": "-c session_replication_role=replica"},
)
sessions = sessionmaker(engine, expire_on_commit=False)
loop = asyncio.new_event_loop()


class Base(DeclarativeBase):
    pass


class Bundle(Base):
    __tablename__ = "token_bundle"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    code: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(2000))
    token_amount: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    is_active: Mapped[bool]
    sort_order: Mapped[int]
    # SQLAlchemy has another use for the name.
    own_metadata: Mapped[dict[str, str]] = mapped_column("metadata", JSONB, default=dict)
    version: Mapped[int] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's way


class Change(Base):
    __tablename__ = "token_bundle_change"
    bundle_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    bundle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    subject: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: str = Field(min_length=1, max_length=255)
    description: str | None = Field(None, max_length=2000)
    token_amount: int = Field(ge=1, lt=2**31, strict=True)
    price: Decimal = Field(ge=0, max_digits=10, decimal_places=2)
    is_active: bool = True
    sort_order: int = 0


class Edited(Given):
    name: str = Field("", min_length=1, max_length=255)
    token_amount: int = Field(0, ge=1, lt=2**31, strict=True)
    price: Decimal = Field(Decimal(0), ge=0, max_digits=10, decimal_places=2)


class Seen(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    name: str
    description: str | None
    token_amount: int
    price: Decimal
    currency: str = "EUR"
    is_active: bool
    sort_order: int
    created_at: datetime
    updated_at: datetime


class Shown(Seen):
    version: int


class OneShown(BaseModel):
    bundle: Shown


class Sold(Seen):
    code: str | None


class Catalogue(BaseModel):
    bundles: list[Sold]


class Page(BaseModel):
    items: list[Shown]
    total: int
    page: int
    per_page: int
    pages: int


def session() -> Iterator[Session]:
    with sessions() as opened:
        yield opened


def claims(request: Request) -> dict[str, Any]:
    # They come with Lambda's event; a server of its own is spared the check of a token.
    found: dict[str, Any] = request.scope.get("claims") or ANYBODY
    if ("token-bundles:read" if request.method == "GET" else "token-bundles:write") not in found["scope"]:
        raise HTTPException(403)
    return found


Database = Annotated[Session, Depends(session)]
Claims = Annotated[dict[str, Any], Depends(claims)]
Number = Annotated[int, Query(ge=1)]


def existing(bundle_id: uuid.UUID, request: Request, database: Database, _: Claims) -> Bundle:
    bundle = database.get(Bundle, bundle_id, with_for_update=request.method != "GET")
    if bundle is None:
        raise HTTPException(404)
    return bundle


Existing = Annotated[Bundle, Depends(existing)]


@app.get(BUNDLES)
def list_bundles(database: Database, _: Claims, page: Number = 1, per_page: Number = 20) -> Page:
    total = database.scalar(select(func.count()).select_from(Bundle)) or 0
    statement = select(Bundle).order_by(Bundle.sort_order, Bundle.name, Bundle.id)
    found = database.scalars(statement.limit(per_page).offset((page - 1) * per_page)).all()
    items = [Shown.model_validate(bundle) for bundle in found]
    return Page(items=items, total=total, page=page, per_page=per_page, pages=-(-total // per_page))


@app.get(CATALOGUE)
def list_catalogue(request: Request, database: Database) -> Response:
    statement = select(Bundle).where(Bundle.is_active).order_by(Bundle.sort_order, Bundle.name, Bundle.id)
    bundles = [Sold.model_validate(bundle) for bundle in database.scalars(statement.limit(1000))]
    body = Catalogue(bundles=bundles).model_dump_json()
    headers = {"ETag": f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@app.get(f"{BUNDLES}/{{bundle_id}}")
def get_bundle(bundle: Existing, response: Response) -> OneShown:
    return shown(bundle, response)


@app.post(BUNDLES, status_code=201)
def create_bundle(given: Given, database: Database, response: Response, claims: Claims) -> OneShown:
    bundle = Bundle(**given.model_dump())
    database.add(bundle)
    created = recorded(database, bundle, "created", claims, response)
    response.headers["Location"] = f"{BUNDLES}/{bundle.id}"
    return created


@app.put(f"{BUNDLES}/{{bundle_id}}")
def update_bundle(
    bundle: Existing, edited: Edited, database: Database, response: Response, claims: Claims
) -> OneShown:
    for name, value in edited.model_dump(exclude_unset=True).items():
        setattr(bundle, name, value)
    if not database.is_modified(bundle):
        return shown(bundle, response)
    return recorded(database, bundle, "updated", claims, response)


@app.delete(f"{BUNDLES}/{{bundle_id}}")
def delete_bundle(bundle: Existing, database: Database, claims: Claims) -> dict[str, str]:
    database.delete(bundle)
    database.add(entry(bundle.id, bundle.version + 1, "deleted", None, claims))
    database.commit()
    return {"message": "The token bundle is deleted."}


def recorded(
    database: Session, bundle: Bundle, action: str, claims: dict[str, Any], response: Response
) -> OneShown:
    database.flush()
    database.refresh(bundle)
    snapshot = json.loads(Shown.model_validate(bundle).model_dump_json())
    database.add(entry(bundle.id, bundle.version, action, snapshot, claims))
    database.commit()
    return shown(bundle, response)


def entry(bundle_id: uuid.UUID, version: int, action: str, bundle: Any, claims: dict[str, Any]) -> Change:
    by = {"subject": claims["sub"], "client_id": claims.get("client_id"), "request_id": "request"}
    return Change(bundle_id=bundle_id, version=version, action=action, bundle=bundle, **by)


def shown(bundle: Bundle, response: Response) -> OneShown:
    response.headers["ETag"] = f'"{bundle.version}"'
    return OneShown(bundle=Shown.model_validate(bundle))


def handler(event: dict[str, Any], _: None) -> dict[str, Any]:
    """Answer an event of Lambda, as adapters for ASGI do."""
    scope = {
        "type": "http",
        "method": event["requestContext"]["http"]["method"],
        "path": event["rawPath"],
        "query_string": event["rawQueryString"].encode(),
        "headers": [(name.encode(), value.encode()) for name, value in event["headers"].items()],
        "claims": event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims"),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": event.get("body", "").encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    loop.run_until_complete(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return {"statusCode": sent[0]["status"], "headers": headers, "body": sent[1]["body"].decode()}
