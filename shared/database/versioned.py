"""Tables whose rows have a version, a history and idempotency keys: the SQL that all of them share.

A change is one statement: it locks the rows, judges them as they are then, changes them and adds to their
history. In the statements `{table}` is such as `token_bundle` and `{noun}` such as `bundle`; the columns come
from the model. The first parameter of each is the functions' currency: unless it is the database's, nothing
is shown and nothing changed.
"""
# What was read as JSON is of the kind that it was read as.
# mypy: disable-error-code="no-any-return"

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Generic, Literal, TypeVar, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from typing_extensions import TypedDict

from shared import errors
from shared.database.connection import Connection
from shared.database.driver import Parameter, Statement
from shared.settings import settings

Row = TypeVar("Row")
Item = TypeVar("Item")

# What becomes JSON: fields to set, what the history keeps of a change, a caller and its idempotency key, and
# the versions of which a row must have one (`expected`) and must have none (`excluded`), where null is all;
# `unconditional` says that none is named although one must be.
Values = Mapping[str, Any]
Entry = Mapping[str, str | None]
Claim = Mapping[str, str | None]
Conditions = Mapping[str, Any]

Action = Literal["created", "updated", "activated", "deactivated", "deleted", "restored", "currency_changed"]
ACTIONS: tuple[Action, ...] = get_args(Action)

CHANGE_COLUMNS = "version, action, subject AS changed_by, client_id, request_id, reason, changed_at"
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
    INSERT INTO public.{table}_idempotency_key AS used (caller, key, {noun}_id)
    SELECT claim.caller, claim.key, ($2::jsonb ->> 'id')::uuid FROM claim
    ON CONFLICT (caller, key) DO UPDATE
    SET {noun}_id = excluded.{noun}_id, created_at = excluded.created_at
    WHERE used.created_at <= now() - interval '24 hours'
    RETURNING used.key
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
    SELECT wanted.id, {wanted}
    FROM jsonb_populate_record(NULL::public.{table}, $2) AS wanted
    WHERE ($4 IS NULL OR EXISTS (SELECT FROM claimed)) AND {same_currency}
    RETURNING {columns}
), {recorded}
SELECT json_build_object('outcome', 'done', 'row', changed)::text FROM changed
UNION ALL
SELECT json_build_object(
    'outcome', 'replayed', 'row', {snapshot}
)::text
FROM claim
JOIN public.{table}_idempotency_key AS used ON used.caller = claim.caller AND used.key = claim.key
JOIN public.{table}_change AS change ON change.{noun}_id = used.{noun}_id AND change.version = 1
WHERE NOT EXISTS (SELECT FROM changed) AND used.created_at > now() - interval '24 hours'
UNION ALL
SELECT 'other currency' WHERE NOT {same_currency}
"""

# What is given is a set of rows: of `jsonb_to_recordset` Postgres expects a hundred, and for one would read
# the whole table. Conditions look at the locked row: the table is searched as it was when the statement
# began.
LOCKED = """
WITH given AS (
    SELECT given.*
    FROM {as_rows}($2) AS given (
        place integer, id uuid, expected bigint[], excluded bigint[], version bigint, unconditional boolean,
        fields jsonb
    )
), locked AS (
    SELECT {noun}
    FROM public.{table} AS {noun}
    WHERE {noun}.id IN (SELECT given.id FROM given)
    ORDER BY {noun}.id
    {lock}
), judged AS (
    SELECT
        given.place, given.id, given.fields, locked.{noun} AS present,
        CASE
            WHEN NOT {same_currency} THEN 'other currency'
            WHEN {absent} THEN 'missing'
            WHEN given.unconditional THEN 'unconditional'
            WHEN (locked.{noun}).version <> ALL (given.expected) THEN 'stale'
            WHEN (locked.{noun}).version = ANY (given.excluded) IS NOT FALSE THEN 'excluded'
            WHEN (locked.{noun}).version <> given.version THEN 'conflict'
            {taken}
        END AS refused
    FROM given
    LEFT JOIN locked ON (locked.{noun}).id = given.id
)"""

# Of one row the index alone decides; a change of many names each that meets another.
TAKEN = """WHEN EXISTS (
                SELECT FROM public.{table} AS other
                WHERE other.{unique} = given.fields ->> '{unique}' AND other.id <> given.id
            ) OR EXISTS (
                SELECT FROM given AS earlier
                WHERE earlier.fields ->> '{unique}' = given.fields ->> '{unique}'
                    AND earlier.place < given.place
            ) THEN 'taken'"""

# One after the other, those that set what is unique: else two that cross there would wait for each other, and
# what one has just taken the next could not see, were it in the statement itself.
ALONE = "SELECT WHERE pg_advisory_xact_lock('public.{table}'::regclass::oid::bigint) IS NULL"

UPDATED = """
    UPDATE public.{table} AS {noun}
    SET ({stored}, version, updated_at) = ({wanted}, wanted.version + 1, clock_timestamp())
    FROM judged
    CROSS JOIN jsonb_populate_record(judged.present, judged.fields) AS wanted
    WHERE {noun}.id = judged.id AND NOT EXISTS (SELECT FROM judged WHERE judged.refused IS NOT NULL)
        AND ({editable}) IS DISTINCT FROM ({present})
    RETURNING {columns}
"""

UPDATE = """
{locked}, changed AS ({updated}), {recorded}
SELECT json_agg(json_build_object(
    'outcome', coalesce(judged.refused, CASE WHEN changed.id IS NULL THEN 'unchanged' ELSE 'done' END),
    'row', coalesce(to_json(changed), to_json(judged.present)),
    'before', CASE WHEN $4::boolean THEN to_json(judged.present) END
) ORDER BY judged.place)::text
FROM judged
LEFT JOIN changed ON changed.id = judged.id
"""

# It selects how many rows were refused. What is given without a version is new, and the index alone decides
# on what is unique.
SAVE = """
{locked}, updated AS ({updated}), inserted AS (
    INSERT INTO public.{table} AS {noun} (id, {stored})
    SELECT judged.id, {wanted}
    FROM judged
    CROSS JOIN jsonb_populate_record(NULL::public.{table}, judged.fields) AS wanted
    WHERE (judged.present).id IS NULL AND NOT EXISTS (SELECT FROM judged WHERE judged.refused IS NOT NULL)
    RETURNING {columns}
), changed AS (
    SELECT * FROM updated UNION ALL SELECT * FROM inserted
), {recorded}
SELECT count(judged.refused)::text FROM judged
"""

DELETE = """
{locked}, changed AS (
    DELETE FROM public.{table} AS {noun}
    USING judged
    WHERE {noun}.id = judged.id AND judged.refused IS NULL
    RETURNING {noun}.id, {noun}.version + 1 AS version
), {recorded}
SELECT json_build_object(
    'outcome', coalesce(judged.refused, 'done'),
    'before', CASE WHEN $4::boolean THEN to_json(judged.present) END
)::text
FROM judged
"""

# What a row was at a version, and whether it is deleted now; nothing if there never was one.
SNAPSHOT = """
SELECT CASE WHEN {same_currency} THEN json_build_object(
    'row', {snapshot}, 'is_deleted', last.action = 'deleted'
)::text ELSE 'other currency' END
FROM (
    SELECT action FROM public.{table}_change WHERE {noun}_id = $2 ORDER BY version DESC LIMIT 1
) AS last
LEFT JOIN public.{table}_change AS entry ON entry.{noun}_id = $2 AND entry.version = $3::bigint
"""

# It selects nothing when the row has been brought back at the same moment.
REVIVE = """
WITH last AS (
    SELECT entry.version
    FROM public.{table}_change AS entry
    WHERE entry.{noun}_id = ($2::jsonb ->> 'id')::uuid
    ORDER BY entry.version DESC
    LIMIT 1
), changed AS (
    INSERT INTO public.{table} AS {noun} (id, {stored}, version, created_at, updated_at)
    SELECT wanted.id, {wanted}, last.version + 1, wanted.created_at, clock_timestamp()
    FROM last
    CROSS JOIN jsonb_populate_record(NULL::public.{table}, $2) AS wanted
    WHERE {same_currency}
    ON CONFLICT (id) DO NOTHING
    RETURNING {columns}
), {recorded}
SELECT json_build_object('outcome', 'done', 'row', changed)::text FROM changed
UNION ALL
SELECT 'other currency' WHERE NOT {same_currency}
"""

# In the statement that makes the change, so that neither is without the other.
RECORDED = """recorded AS (
    INSERT INTO public.{table}_change (
        {noun}_id, version, currency, {noun}, action, subject, client_id, request_id, reason
    )
    SELECT
        changed.id, changed.version, $1, CASE WHEN entry.action <> 'deleted' THEN to_jsonb(changed) END,
        CASE changed.version WHEN 1 THEN 'created' ELSE entry.action END,
        entry.subject, entry.client_id, entry.request_id, entry.reason
    FROM changed
    CROSS JOIN jsonb_to_record($3) AS entry (
        action text, subject text, client_id text, request_id text, reason text
    )
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

# Newest first: the limit is $2, and of each entry what was before it. The rest decides which.
FEED = """
SELECT CASE WHEN {same_currency} THEN (
    SELECT coalesce(json_agg(event), '[]')
    FROM (
        SELECT
            found.{noun}_id AS row_id,
            (SELECT change FROM (SELECT {change_columns}, {snapshot} AS after) AS change),
            (
                SELECT {snapshot}
                FROM public.{table}_change AS earlier
                WHERE earlier.{noun}_id = found.{noun}_id AND earlier.version < found.version
                ORDER BY earlier.version DESC
                LIMIT 1
            ) AS before,
            EXISTS (SELECT FROM public.{table} AS {noun} WHERE {noun}.id = found.{noun}_id) AS exists
        FROM ({found}) AS found
        ORDER BY found.changed_at DESC, found.{noun}_id DESC, found.version DESC
    ) AS event
)::text ELSE 'other currency' END
"""
ENTRIES = """
    SELECT entry.*
    FROM public.{table}_change AS entry
    WHERE ($3::text IS NULL OR entry.subject = $3)
        AND ($4::timestamptz IS NULL OR entry.changed_at >= $4)
        AND ($5::timestamptz IS NULL OR entry.changed_at < $5)
        AND ($6::timestamptz IS NULL OR (entry.changed_at, entry.{noun}_id, entry.version) < ($6, $7, $8))
        {of_action}
    ORDER BY entry.changed_at DESC, entry.{noun}_id DESC, entry.version DESC
    LIMIT $2
"""
# Of each action as many as are wanted, so that an index serves each in order.
ENTRIES_OF_ACTIONS = """
    SELECT * FROM ({of_each}) AS entry ORDER BY changed_at DESC, {noun}_id DESC, version DESC LIMIT $2
"""


@dataclass
class Outcome(Generic[Row]):
    """What has come of a change, and the row as it is now, and as it was."""

    outcome: Literal[
        "done", "unchanged", "replayed", "missing", "unconditional", "stale", "excluded", "conflict", "taken",
        "other currency",
    ]  # fmt: skip
    row: Row | None = None
    # Only of a preview.
    before: Row | None = None

    def settled(self) -> Row:
        """Return the row, which a deletion has not; raises the error of a change that was refused."""
        if error := ERRORS.get(self.outcome):
            raise error
        if self.outcome == "conflict":
            raise errors.VersionConflictError(self.row.version)  # type: ignore[union-attr]  # each has one
        return self.row  # type: ignore[return-value]


ERRORS: dict[str, type[errors.ApiError]] = {
    "missing": errors.NotFoundError,
    "unconditional": errors.PreconditionRequiredError,
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
    reason: str | None
    changed_at: datetime
    after: Row | None


class Event(TypedDict, Generic[Row]):
    """An entry of the history of all rows, the row before it, and whether it exists now."""

    row_id: UUID
    change: Change[Row]
    before: Row | None
    exists: bool


class Snapshot(TypedDict, Generic[Row]):
    """What a row was at a version, unless it was not or was being deleted, and whether it is deleted now."""

    row: Row | None
    is_deleted: bool


@dataclass
class Found(Generic[Item]):
    """Some of what matches, and how much matches in all."""

    rows: list[Item]
    total: int


class VersionedTable(Generic[Row]):
    """The statements on one such table, and what they return as rows of the model."""

    def __init__(
        self, table: str, noun: str, row: type[Row], *, derived: Sequence[str] = (), unique: str
    ) -> None:
        names = [column.name for column in fields(row)]  # type: ignore[arg-type]  # it is a dataclass
        self.editable = editable = [name for name in names if name not in MANAGED]
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
            "unique": unique,
            "change_columns": CHANGE_COLUMNS,
            "snapshot": f"{noun} || jsonb_build_object('currency', currency)",
        }
        words |= {"recorded": RECORDED.format(**words), "updated": UPDATED.format(**words)}
        self.row, self.derived = row, derived
        self.get_sql = GET.format(**words)
        self.create_sql = CREATE.format(**words)
        # Only a deletion must wait for those who have just referred to the row by a foreign key.
        absent = f"(locked.{noun}).id IS NULL"
        one = {
            **words, "as_rows": "jsonb_to_record", "lock": "FOR NO KEY UPDATE", "taken": "", "absent": absent
        }  # fmt: skip
        many = {**one, "as_rows": "jsonb_to_recordset"}
        taking = {**many, "taken": TAKEN.format(**words)}
        saving = {**many, "absent": f"{absent} AND given.version IS NOT NULL"}
        self.update_sql = UPDATE.format(**words, locked=LOCKED.format(**one))
        self.unique, self.alone_sql = unique, ALONE.format(**words)
        self.update_many_sql = UPDATE.format(**words, locked=LOCKED.format(**taking))
        self.save_sql = SAVE.format(**words, locked=LOCKED.format(**saving))
        self.delete_sql = DELETE.format(**words, locked=LOCKED.format(**one | {"lock": "FOR UPDATE"}))
        self.snapshot_sql = SNAPSHOT.format(**words)
        self.revive_sql = REVIVE.format(**words)
        self.history_sql = self.page_sql(
            f"{noun}_id = $4",
            "version DESC",
            source=f"public.{table}_change",
            columns=f"{CHANGE_COLUMNS}, {words['snapshot']} AS after",
        )

    def page_sql(self, condition: str, order: str, **others: str) -> str:
        """Write the statement for a page: after currency, limit and offset the condition's parameters."""
        return PAGE.format(**self.words | others, condition=condition, order=order)

    def feed_sql(self, actions: Iterable[Action] = ()) -> str:
        """Write the statement for the newest entries of all rows, or those of some actions."""
        of_each = [
            ENTRIES.format(**self.words, of_action=f"AND entry.action = '{action}'")
            for action in dict.fromkeys(actions)
        ]
        if of_each:
            union = " UNION ALL ".join(f"({one})" for one in of_each)
            found = ENTRIES_OF_ACTIONS.format(**self.words, of_each=union)
        else:
            found = ENTRIES.format(**self.words, of_action="")
        return FEED.format(**self.words, found=found)

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
        """Insert a row with its id, or return what a claimed key has created in 24 hours, as it was then."""
        given = (Outcome, self.row), connection, self.create_sql, values, entry, claim
        # What waited for another creation with the key sees it only in a statement that begins after it.
        while (created := _select(*given)) is None:
            pass
        return created

    def update(
        self, connection: Connection, row_id: UUID, values: Values, entry: Entry, conditions: Conditions
    ) -> Outcome[Row]:
        """Set the values, if one differs and the conditions hold."""
        (outcome,) = self._update(
            connection, self.update_sql, {"id": row_id, "fields": values, **conditions}, entry
        )
        return outcome

    def update_many(
        self, connection: Connection, given: Sequence[Values], entry: Entry
    ) -> list[Outcome[Row]]:
        """Change all rows or none; each is given as its `id`, its `fields` and its conditions."""
        placed = [{"place": place, **one} for place, one in enumerate(given)]
        return self._update(connection, self.update_many_sql, placed, entry, self._first(given))

    def save_many(self, connection: Connection, given: Sequence[Values], entry: Entry) -> bool:
        """Change rows that are at their `version`, and insert those without one; tell if all of them were.

        Raises AlreadyTakenError.
        """
        conditional = [{**one, "excluded": []} for one in given]
        refused = _select((int,), connection, self.save_sql, conditional, entry, first=self._first(given))
        return refused == 0

    def _first(self, given: Sequence[Values]) -> list[Statement]:
        is_taking = any(one["fields"].get(self.unique) is not None for one in given)
        return [(self.alone_sql, ())] if is_taking else []

    def _update(
        self,
        connection: Connection,
        sql: str,
        given: Values | Sequence[Values],
        entry: Entry,
        first: Sequence[Statement] = (),
    ) -> list[Outcome[Row]]:
        parameters = given, entry, connection.is_preview
        return _select((list, Outcome, self.row), connection, sql, *parameters, first=first)

    def delete(
        self, connection: Connection, row_id: UUID, entry: Entry, conditions: Conditions
    ) -> Outcome[Row]:
        """Delete the row, if the conditions hold."""
        given = {"id": row_id, **conditions}
        return _select((Outcome, self.row), connection, self.delete_sql, given, entry, connection.is_preview)

    def snapshot(self, connection: Connection, row_id: UUID, version: int) -> Snapshot[Row]:
        """Return what the row was at a version; raises NotFoundError if there never was one."""
        if found := _select((Snapshot, self.row), connection, self.snapshot_sql, row_id, version):
            return found
        raise errors.NotFoundError

    def revive(self, connection: Connection, values: Values, entry: Entry) -> Outcome[Row] | None:
        """Insert a deleted row at the version after its last; None if another has at the same moment."""
        return _select((Outcome, self.row), connection, self.revive_sql, values, entry)

    def feed(
        self, connection: Connection, *parameters: Parameter, actions: Sequence[Action], limit: int
    ) -> list[Event[Row]]:
        """Return what was done to all rows, newest first, the parameters being those of ENTRIES."""
        sql = self.feed_sql(actions)
        return _select((list, Event, self.row), connection, sql, limit, *parameters, prepared=False)

    def history(self, connection: Connection, row_id: UUID, *, limit: int, offset: int) -> Found[Change[Row]]:
        """Return what was done to the row, newest first."""
        return _select((Found, Change, self.row), connection, self.history_sql, limit, offset, row_id)


def _select(
    kinds: Sequence[Any],
    connection: Connection,
    sql: str,
    *parameters: Parameter | Values | Sequence[Values],
    prepared: bool = True,
    first: Sequence[Statement] = (),
) -> Any:
    """Read what a statement selects as the first of the kinds, which is generic over the next one, and so on.

    A price passes through a binary float here, whose shortest form has all of its 12 digits.
    """
    given: list[Any] = [
        to_json(one).decode() if isinstance(one, Mapping | list) else one for one in parameters
    ]
    code = settings.default_currency.code
    text = connection.execute(sql, code, *given, prepared=prepared, first=first)
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
