"""Tables whose rows have a version, a history and idempotency keys: the SQL that all of them share.

A change is one statement: it locks the rows, judges them as they are then, changes them and adds to their
history. In the statements `{table}` is such as `token_bundle` and `{noun}` such as `bundle`; the columns come
from the model. The first parameter of each is the functions' currency: unless it is the database's, nothing
is shown and nothing changed.
"""
# What was read as JSON is of the kind that it was read as.
# mypy: disable-error-code="no-any-return"

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Generic, Literal, TypeVar, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from shared import errors
from shared.database.connection import Connection
from shared.database.driver import Parameter
from shared.settings import settings

Row = TypeVar("Row")
Item = TypeVar("Item")

# What becomes JSON: fields to set, what the history keeps of a change, a caller and its idempotency key, and
# the versions of which a row must have one (`expected`) and must have none (`excluded`), where null is all.
Values = Mapping[str, Any]
Entry = Mapping[str, str | None]
Claim = Mapping[str, str | None]
Conditions = Mapping[str, Any]

Action = Literal["created", "updated", "activated", "deactivated", "deleted", "currency_changed"]
ACTIONS: tuple[Action, ...] = get_args(Action)

CHANGE_COLUMNS = "version, action, subject AS changed_by, client_id, request_id, changed_at"
# What only these statements write, and the currency, which no row has a column for.
MANAGED = {"id", "version", "created_at", "updated_at", "currency"}

SAME_CURRENCY = "$1::text IS NOT DISTINCT FROM (SELECT code FROM public.default_currency)"
OTHER_CURRENCY = "other currency"

GET = """
SELECT CASE WHEN {same_currency} THEN to_json({noun})::text ELSE 'other currency' END
FROM (SELECT {columns} FROM public.{table} AS {noun} WHERE {noun}.id = $2) AS {noun}
"""

# The parameters: the fields; the entry in the history; the caller and the key, or NULL. It selects nothing
# when the key was used at the same moment: that cannot be seen yet, at most that an older use has expired.
# A purge that came before the claim would lock keys that the other creation claims, while it waits for ours.
CREATE = """
WITH claim AS (
    SELECT claim.caller, claim.key
    FROM jsonb_to_record($4) AS claim (caller text, key text)
    WHERE claim.key IS NOT NULL AND {same_currency}
), claimed AS (
    INSERT INTO public.{table}_idempotency_key AS used (caller, key)
    SELECT claim.caller, claim.key FROM claim
    ON CONFLICT (caller, key) DO UPDATE
    SET {noun}_id = excluded.{noun}_id, created_at = excluded.created_at
    WHERE used.created_at <= now() - interval '24 hours'
    RETURNING used.{noun}_id AS id
), purged AS (
    DELETE FROM public.{table}_idempotency_key AS expired
    WHERE expired.ctid = ANY (ARRAY(
        SELECT used.ctid
        FROM public.{table}_idempotency_key AS used
        WHERE EXISTS (SELECT FROM claimed)
            AND used.created_at <= now() - interval '24 hours'
            AND (used.caller, used.key) NOT IN (SELECT claim.caller, claim.key FROM claim)
        ORDER BY used.created_at
        LIMIT 10
        FOR UPDATE SKIP LOCKED
    ))
), changed AS (
    INSERT INTO public.{table} AS {noun} (id, {stored})
    SELECT coalesce(claimed.id, gen_random_uuid()), {wanted}
    FROM jsonb_populate_record(NULL::public.{table}, $2) AS wanted
    LEFT JOIN claimed ON true
    WHERE (claimed.id IS NOT NULL OR $4 IS NULL) AND {same_currency}
    RETURNING {columns}
), {recorded}
SELECT json_build_object('outcome', 'done', 'row', changed)::text FROM changed
UNION ALL
SELECT json_build_object(
    'outcome', 'replayed', 'row', change.{noun} || jsonb_build_object('currency', change.currency)
)::text
FROM claim
JOIN public.{table}_idempotency_key AS used ON used.caller = claim.caller AND used.key = claim.key
JOIN public.{table}_change AS change ON change.{noun}_id = used.{noun}_id AND change.version = 1
WHERE NOT EXISTS (SELECT FROM changed) AND used.created_at > now() - interval '24 hours'
UNION ALL
SELECT 'other currency' WHERE NOT {same_currency}
"""

# What is given is a set of rows, and has one: of `jsonb_to_recordset` Postgres would expect a hundred, and
# read the whole table. Conditions look at the locked row: the table is searched as it was when the statement
# began.
LOCKED = """
WITH given AS (
    SELECT given.*
    FROM jsonb_to_record($2) AS given (
        id uuid, expected bigint[], excluded bigint[], version bigint, fields jsonb
    )
), locked AS (
    SELECT {noun}
    FROM public.{table} AS {noun}
    WHERE {noun}.id IN (SELECT given.id FROM given)
    ORDER BY {noun}.id
    {lock}
), judged AS (
    SELECT
        given.id, given.fields, locked.{noun} AS present,
        CASE
            WHEN NOT {same_currency} THEN 'other currency'
            WHEN (locked.{noun}).id IS NULL THEN 'missing'
            WHEN (locked.{noun}).version <> ALL (given.expected) THEN 'stale'
            WHEN (locked.{noun}).version = ANY (given.excluded) IS NOT FALSE THEN 'excluded'
            WHEN (locked.{noun}).version <> given.version THEN 'conflict'
        END AS refused
    FROM given
    LEFT JOIN locked ON (locked.{noun}).id = given.id
)"""

UPDATE = """
{locked}, changed AS (
    UPDATE public.{table} AS {noun}
    SET ({stored}, version, updated_at) = ({wanted}, wanted.version + 1, clock_timestamp())
    FROM judged
    CROSS JOIN jsonb_populate_record(judged.present, judged.fields) AS wanted
    WHERE {noun}.id = judged.id AND judged.refused IS NULL
        AND ({editable}) IS DISTINCT FROM ({present})
    RETURNING {columns}
), {recorded}
SELECT json_build_object(
    'outcome', coalesce(judged.refused, CASE WHEN changed.id IS NULL THEN 'unchanged' ELSE 'done' END),
    'row', coalesce(to_json(changed), to_json(judged.present))
)::text
FROM judged
LEFT JOIN changed ON changed.id = judged.id
"""

DELETE = """
{locked}, changed AS (
    DELETE FROM public.{table} AS {noun}
    USING judged
    WHERE {noun}.id = judged.id AND judged.refused IS NULL
    RETURNING {noun}.id, {noun}.version + 1 AS version
), {recorded}
SELECT json_build_object('outcome', coalesce(judged.refused, 'done'))::text FROM judged
"""

# In the statement that makes the change, so that neither is without the other.
RECORDED = """recorded AS (
    INSERT INTO public.{table}_change (
        {noun}_id, version, currency, {noun}, action, subject, client_id, request_id
    )
    SELECT
        changed.id, changed.version, $1, CASE WHEN entry.action <> 'deleted' THEN to_jsonb(changed) END,
        entry.action, entry.subject, entry.client_id, entry.request_id
    FROM changed
    CROSS JOIN jsonb_to_record($3) AS entry (action text, subject text, client_id text, request_id text)
)"""

# The limit is $2 and the offset $3; the total is counted only when the page does not tell it.
PAGE = """
SELECT CASE WHEN {same_currency} THEN json_build_object(
    'rows', coalesce(json_agg(page), '[]'),
    'total', CASE
        WHEN count(*) < $2 AND (count(*) > 0 OR $3 = 0) THEN $3 + count(*)
        ELSE (SELECT count(*) FROM {source} WHERE {condition})
    END
)::text ELSE 'other currency' END
FROM (
    SELECT {columns}
    FROM {source}
    WHERE {condition}
    ORDER BY {order}
    LIMIT $2 OFFSET $3
) AS page
"""


@dataclass
class Outcome(Generic[Row]):
    """What has come of a change, and the row as it is now."""

    outcome: Literal[
        "done", "unchanged", "replayed", "missing", "stale", "excluded", "conflict", "other currency"
    ]
    row: Row | None = None

    def settled(self) -> Row:
        """Return the row, which a deletion has not; raises the error of a change that was refused."""
        if error := ERRORS.get(self.outcome):
            raise error
        if self.outcome == "conflict":
            raise errors.VersionConflictError(self.row.version)  # type: ignore[union-attr]  # each has one
        return self.row  # type: ignore[return-value]


ERRORS: dict[str, type[errors.ApiError]] = {
    "missing": errors.NotFoundError,
    "stale": errors.ChangedMeanwhileError,
    "excluded": errors.ExcludedVersionError,
    OTHER_CURRENCY: errors.OtherCurrencyError,
}


@dataclass
class Change(Generic[Row]):
    """An entry of a history, and the row as it was after it."""

    version: int
    action: Action
    changed_by: str | None
    client_id: str | None
    request_id: str | None
    changed_at: datetime
    after: Row | None


@dataclass
class Found(Generic[Item]):
    """Some of what matches, and how much matches in all."""

    rows: list[Item]
    total: int


class VersionedTable(Generic[Row]):
    """The statements on one such table, and what they return as rows of the model."""

    def __init__(self, table: str, noun: str, row: type[Row], *, derived: Sequence[str] = ()) -> None:
        names = [field.name for field in fields(row)]  # type: ignore[arg-type]  # it is a dataclass
        editable = [name for name in names if name not in MANAGED]
        stored = [*editable, *derived]

        def listed(of: Sequence[str], form: str = "{}") -> str:
            return ", ".join(form.format(name) for name in of)

        self.words = words = {
            "table": table,
            "noun": noun,
            "source": f"public.{table} AS {noun}",
            "columns": listed([name for name in names if name != "currency"], f"{noun}.{{}}"),
            "stored": listed(stored),
            "wanted": listed(stored, "wanted.{}"),
            "editable": listed(editable, "wanted.{}"),
            "present": listed(editable, "(judged.present).{}"),
            "same_currency": SAME_CURRENCY,
        }
        words["recorded"] = RECORDED.format(**words)
        self.row, self.derived = row, derived
        self.get_sql = GET.format(**words)
        self.create_sql = CREATE.format(**words)
        # Only a deletion must wait for those who have just referred to the row by a foreign key.
        self.update_sql = UPDATE.format(**words, locked=LOCKED.format(**words, lock="FOR NO KEY UPDATE"))
        self.delete_sql = DELETE.format(**words, locked=LOCKED.format(**words, lock="FOR UPDATE"))
        self.history_sql = self.page_sql(
            f"{noun}_id = $4",
            "version DESC",
            source=f"public.{table}_change",
            columns=f"{CHANGE_COLUMNS}, {noun} || jsonb_build_object('currency', currency) AS after",
        )

    def page_sql(self, condition: str, order: str, **others: str) -> str:
        """Write the statement for a page: after currency, limit and offset the condition's parameters."""
        return PAGE.format(**self.words | others, condition=condition, order=order)

    def page(
        self, connection: Connection, sql: str, *parameters: Parameter, limit: int, offset: int
    ) -> Found[Row]:
        """Return the page that a statement of `page_sql` selects, given the parameters of its condition."""
        # Its best plan depends on how much the condition lets through.
        return _select((Found, self.row), connection, sql, limit, offset, *parameters, prepared=False)

    def get(self, connection: Connection, row_id: UUID) -> Row:
        """Return the row; raises NotFoundError."""
        if found := _select((self.row,), connection, self.get_sql, row_id):
            return found
        raise errors.NotFoundError

    def create(
        self, connection: Connection, values: Values, entry: Entry, claim: Claim | None
    ) -> Outcome[Row]:
        """Insert a row, or return what a claimed key has created in the last 24 hours, as it was then."""
        given = (Outcome, self.row), connection, self.create_sql, values, entry, claim
        # What waited for another creation with the key sees it only in a statement that begins after it.
        while (created := _select(*given)) is None:
            pass
        return created

    def update(
        self, connection: Connection, row_id: UUID, values: Values, entry: Entry, conditions: Conditions
    ) -> Outcome[Row]:
        """Set the values, if one differs and the conditions hold."""
        given = {"id": row_id, "fields": values, **conditions}
        return _select((Outcome, self.row), connection, self.update_sql, given, entry)

    def delete(
        self, connection: Connection, row_id: UUID, entry: Entry, conditions: Conditions
    ) -> Outcome[Row]:
        """Delete the row, if the conditions hold."""
        given = {"id": row_id, **conditions}
        return _select((Outcome, self.row), connection, self.delete_sql, given, entry)

    def history(self, connection: Connection, row_id: UUID, *, limit: int, offset: int) -> Found[Change[Row]]:
        """Return what was done to the row, newest first."""
        return _select((Found, Change, self.row), connection, self.history_sql, limit, offset, row_id)


def _select(
    kinds: Sequence[Any],
    connection: Connection,
    sql: str,
    *parameters: Parameter | Values,
    prepared: bool = True,
) -> Any:
    """Read what a statement selects as the first of the kinds, which is generic over the next one, and so on.

    A price passes through a binary float here, whose shortest form has all of its 12 digits.
    """
    given = [to_json(one).decode() if isinstance(one, Mapping) else one for one in parameters]
    text = connection.execute(sql, settings.default_currency.code, *given, prepared=prepared)
    if text == OTHER_CURRENCY:
        raise errors.OtherCurrencyError
    try:
        return _adapter(*kinds).validate_json(text) if text else None
    except ValidationError as invalid:
        # Without its input, which is a row's.
        wrong = [(error["loc"], error["type"]) for error in invalid.errors(include_input=False)]
        raise ValueError(f"what is stored does not fit the model: {wrong}") from None


@cache
def _adapter(*kinds: Any) -> TypeAdapter[Any]:
    *generics, kind = kinds
    for generic in reversed(generics):
        kind = generic[kind]
    return TypeAdapter(kind)
