"""What many would pick instead: FastAPI, SQLAlchemy's ORM and psycopg, doing the same work."""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Integer, Numeric, String, Text, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

BUNDLES = "/api/v1/admin/token-bundles"
FIELDS = ("name", "description", "token_amount", "price", "is_active", "sort_order")


class Base(DeclarativeBase):
    """The base of the models."""


class Bundle(Base):
    """A bundle."""

    __tablename__ = "token_bundle"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(String(2000))
    token_amount: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(12, 4))
    is_active: Mapped[bool]
    sort_order: Mapped[int]
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's way


class Change(Base):
    """An entry in the history."""

    __tablename__ = "token_bundle_change"
    bundle_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    bundle: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    subject: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class IdempotencyKey(Base):
    """Which bundle a key has created."""

    __tablename__ = "token_bundle_idempotency_key"
    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    bundle_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Given(BaseModel):
    """What a new bundle is made of."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: str = Field(min_length=1, max_length=255)
    description: str | None = Field(None, max_length=2000)
    token_amount: int = Field(ge=1, lt=2**31, strict=True)
    price: Decimal = Field(ge=0, max_digits=10, decimal_places=2)
    is_active: bool = True
    sort_order: int = 0


class Edited(Given):
    """What to change in a bundle."""

    name: str = Field("", min_length=1, max_length=255)
    token_amount: int = Field(0, ge=1, lt=2**31, strict=True)
    price: Decimal = Field(Decimal(0), ge=0, max_digits=10, decimal_places=2)


class Shown(BaseModel):
    """A bundle as it is shown."""

    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    name: str
    description: str | None
    token_amount: int
    price: Decimal
    currency: str = "EUR"
    is_active: bool
    sort_order: int
    version: int
    created_at: datetime
    updated_at: datetime


class OneShown(BaseModel):
    """A bundle in its envelope."""

    bundle: Shown


class PageShown(BaseModel):
    """One page of bundles."""

    items: list[Shown]
    total: int
    page: int
    per_page: int
    pages: int


class ChangeShown(BaseModel):
    """An entry in the history as it is shown."""

    version: int
    action: str
    changes: dict[str, Any]
    changed_by: str | None
    client_id: str | None
    request_id: str | None
    changed_at: datetime


class HistoryShown(BaseModel):
    """One page of the history."""

    items: list[ChangeShown]
    total: int
    page: int
    per_page: int
    pages: int


app = FastAPI()
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"), pool_size=1)
sessions = sessionmaker(engine, expire_on_commit=False)


def session() -> Iterator[Session]:
    """Open a session for one request."""
    with sessions() as opened:
        yield opened


def claims(request: Request, authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """Take the claims that the caller in this process has checked, or check the token of one outside."""
    if "claims" in request.scope:
        found: dict[str, Any] = request.scope["claims"]
        return found
    return _checked(authorization.removeprefix("Bearer "))


Claims = Annotated[dict[str, Any], Depends(claims)]
Database = Annotated[Session, Depends(session)]


def reader(claims: Claims) -> dict[str, Any]:
    """Admit who may read."""
    if "token-bundles:read" not in claims["scope"].split():
        raise HTTPException(403)
    return claims


def writer(claims: Claims) -> dict[str, Any]:
    """Admit who may write."""
    if "token-bundles:write" not in claims["scope"].split():
        raise HTTPException(403)
    return claims


Reader = Annotated[dict[str, Any], Depends(reader)]
Writer = Annotated[dict[str, Any], Depends(writer)]
PageNumber = Annotated[int, Query(ge=1)]


@app.get(BUNDLES)
def list_bundles(
    database: Database, _claims: Reader, page: PageNumber = 1, per_page: PageNumber = 20
) -> PageShown:
    """List bundles."""
    total = database.scalar(select(func.count()).select_from(Bundle)) or 0
    statement = select(Bundle).order_by(Bundle.sort_order, Bundle.name, Bundle.id)
    found = database.scalars(statement.limit(per_page).offset((page - 1) * per_page)).all()
    items = [Shown.model_validate(bundle) for bundle in found]
    return PageShown(items=items, total=total, page=page, per_page=per_page, pages=-(-total // per_page))


@app.get(f"{BUNDLES}/{{bundle_id}}")
def get_bundle(
    bundle_id: uuid.UUID,
    database: Database,
    response: Response,
    _claims: Reader,
    if_none_match: Annotated[str | None, Header()] = None,
) -> OneShown:
    """Show one bundle."""
    bundle = database.get(Bundle, bundle_id)
    if bundle is None:
        raise HTTPException(404)
    if if_none_match == f'"{bundle.version}"':
        raise HTTPException(304)
    return _shown(bundle, response)


@app.get(f"{BUNDLES}/{{bundle_id}}/history")
def history(
    bundle_id: uuid.UUID,
    database: Database,
    _claims: Reader,
    page: PageNumber = 1,
    per_page: PageNumber = 20,
) -> HistoryShown:
    """List what was done to a bundle."""
    of_bundle = Change.bundle_id == bundle_id
    total = database.scalar(select(func.count()).select_from(Change).where(of_bundle)) or 0
    statement = select(Change).where(of_bundle).order_by(Change.version.desc())
    found = database.scalars(statement.limit(per_page + 1).offset((page - 1) * per_page)).all()
    if not total:
        raise HTTPException(404)
    items = [
        _change_shown(change, found[place + 1] if place + 1 < len(found) else None)
        for place, change in enumerate(found[:per_page])
    ]
    return HistoryShown(items=items, total=total, page=page, per_page=per_page, pages=-(-total // per_page))


@app.post(BUNDLES, status_code=201)
def create_bundle(
    given: Given,
    database: Database,
    response: Response,
    claims: Writer,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> OneShown:
    """Create a bundle."""
    if idempotency_key is not None:
        used = database.get(IdempotencyKey, (claims["sub"], idempotency_key))
        if used is not None and used.created_at > datetime.now(used.created_at.tzinfo) - timedelta(hours=24):
            earlier = database.get_one(Bundle, used.bundle_id)
            return _shown(earlier, response)
    bundle = Bundle(**given.model_dump())
    database.add(bundle)
    database.flush()
    database.refresh(bundle)
    if idempotency_key is not None:
        database.add(IdempotencyKey(caller=claims["sub"], key=idempotency_key, bundle_id=bundle.id))
    _record(database, bundle, "created", claims)
    database.commit()
    response.headers["Location"] = f"{BUNDLES}/{bundle.id}"
    return _shown(bundle, response)


@app.put(f"{BUNDLES}/{{bundle_id}}")
def update_bundle(
    bundle_id: uuid.UUID,
    edited: Edited,
    database: Database,
    response: Response,
    claims: Writer,
    if_match: Annotated[str | None, Header()] = None,
) -> OneShown:
    """Change the given fields of a bundle."""
    return _change(
        database, bundle_id, edited.model_dump(exclude_unset=True), "updated", claims, if_match, response
    )


@app.post(f"{BUNDLES}/{{bundle_id}}/activate")
def activate(bundle_id: uuid.UUID, database: Database, response: Response, claims: Writer) -> OneShown:
    """Activate a bundle."""
    return _change(database, bundle_id, {"is_active": True}, "activated", claims, None, response)


@app.post(f"{BUNDLES}/{{bundle_id}}/deactivate")
def deactivate(bundle_id: uuid.UUID, database: Database, response: Response, claims: Writer) -> OneShown:
    """Deactivate a bundle."""
    return _change(database, bundle_id, {"is_active": False}, "deactivated", claims, None, response)


@app.delete(f"{BUNDLES}/{{bundle_id}}")
def delete_bundle(bundle_id: uuid.UUID, database: Database, claims: Writer) -> dict[str, str]:
    """Delete a bundle."""
    bundle = database.get(Bundle, bundle_id, with_for_update=True)
    if bundle is None:
        raise HTTPException(404)
    database.delete(bundle)
    entry = _entry(bundle, "deleted", claims)
    entry.version, entry.bundle = bundle.version + 1, None
    database.add(entry)
    database.commit()
    return {"message": "The token bundle is deleted."}


def _checked(token: str) -> dict[str, Any]:
    import jwt

    from dev.gateway.tokens import ALGORITHM
    from dev.local import AUDIENCE, ISSUER

    try:
        return jwt.decode(token, _public_key(), [ALGORITHM], audience=AUDIENCE, issuer=ISSUER)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error


@cache
def _public_key() -> Any:
    from dev.gateway.tokens import signing_key

    return signing_key().public_key()


def _change(
    database: Session,
    bundle_id: uuid.UUID,
    values: dict[str, Any],
    action: str,
    claims: dict[str, Any],
    if_match: str | None,
    response: Response,
) -> OneShown:
    bundle = database.get(Bundle, bundle_id, with_for_update=True)
    if bundle is None:
        raise HTTPException(404)
    if if_match not in {None, "*", f'"{bundle.version}"'}:
        raise HTTPException(412)
    for name, value in values.items():
        setattr(bundle, name, value)
    if database.is_modified(bundle):
        database.flush()
        database.refresh(bundle)
        _record(database, bundle, action, claims)
        database.commit()
    return _shown(bundle, response)


def _record(database: Session, bundle: Bundle, action: str, claims: dict[str, Any]) -> None:
    database.add(_entry(bundle, action, claims))


def _entry(bundle: Bundle, action: str, claims: dict[str, Any]) -> Change:
    snapshot = json.loads(Shown.model_validate(bundle).model_dump_json())
    return Change(
        bundle_id=bundle.id,
        version=bundle.version,
        action=action,
        bundle=snapshot,
        subject=claims["sub"],
        client_id=claims.get("client_id"),
        request_id="request",
    )


def _shown(bundle: Bundle, response: Response) -> OneShown:
    response.headers["ETag"] = f'"{bundle.version}"'
    return OneShown(bundle=Shown.model_validate(bundle))


def _change_shown(change: Change, earlier: Change | None) -> ChangeShown:
    before, after = (earlier.bundle if earlier else None) or {}, change.bundle or {}
    return ChangeShown(
        version=change.version,
        action=change.action,
        changes={
            field: {"from": before.get(field), "to": after.get(field)}
            for field in FIELDS
            if before.get(field) != after.get(field)
        },
        changed_by=change.subject,
        client_id=change.client_id,
        request_id=change.request_id,
        changed_at=change.changed_at,
    )
