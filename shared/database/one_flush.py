"""A pg8000 connection that sends a statement in one flush, and SQLAlchemy's dialect for it.

pg8000 waits for the server after Parse, after Bind and Describe, and after Execute, and a Lambda is paid for
waiting. This is written against the inside of pg8000 1.31, to which pyproject.toml pins it; the way back to
the stock one is DATABASE_ONE_FLUSH=false.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Any

import pg8000
from pg8000.converters import TIMESTAMPTZ, make_params, timestamptz_in
from pg8000.core import (
    BIND,
    DATA_ROW,
    DESCRIBE,
    EXECUTE_MSG,
    NULL_BYTE,
    PARSE,
    PORTAL,
    READY_FOR_QUERY,
    SYNC_MSG,
    Context,
)
from sqlalchemy import Connection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

DRIVER = "pg8000_one_flush"

_READ_BYTES = 32 * 1024
_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_IS_NULL = _LENGTH.pack(-1)
# Of Bind: the unnamed portal and statement, and all parameters as text; at its end, all results as text.
_UNNAMED_AS_TEXT, _RESULTS_AS_TEXT = NULL_BYTE + NULL_BYTE + _COUNT.pack(0), _COUNT.pack(0)
_HEADER_BYTES = 1 + _LENGTH.size
_ROW_HEADER_BYTES = _HEADER_BYTES + _COUNT.size


def _message(code: bytes, data: bytes) -> bytes:
    return code + _LENGTH.pack(len(data) + _LENGTH.size) + data


_DESCRIBE_EXECUTE_SYNC = _message(DESCRIBE, PORTAL + NULL_BYTE) + EXECUTE_MSG + SYNC_MSG


class OneFlushConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """What pg8000's connection does, in one network round trip a statement."""

    def __init__(self, **arguments: Any) -> None:
        """Connect as pg8000 does."""
        super().__init__(**arguments)
        self.register_in_adapter(TIMESTAMPTZ, _timestamptz)
        self._described: dict[bytes, tuple[Any, Any]] = {}

    def cursor(self) -> "OneFlushCursor":
        """Make a cursor for statements whose parameters are `$1`, `$2` and so on."""
        return OneFlushCursor(self)

    def commit(self) -> None:
        """Commit what has been begun, if anything has."""
        if self._in_transaction:
            super().commit()

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Context:
        """Execute a statement with Postgres' own placeholders."""
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        if self._sock is None:
            raise pg8000.InterfaceError("connection is closed")
        context = Context(statement)
        # What cannot be encoded raises here, before any of it has left.
        parse, bind = _parse(statement, tuple(oids), self._client_encoding), self._bind(vals)
        self._usock.sendall(parse + bind + _DESCRIBE_EXECUTE_SYNC)
        self.handle_messages(context)
        return context

    def _bind(self, values: Sequence[Any]) -> bytes:
        parts = [_UNNAMED_AS_TEXT, _COUNT.pack(len(values))]
        for text in make_params(self.py_types, values):
            if text is None:
                parts.append(_IS_NULL)
            else:
                encoded = text.encode(self._client_encoding)
                parts += _LENGTH.pack(len(encoded)), encoded
        parts.append(_RESULTS_AS_TEXT)
        return _message(BIND, b"".join(parts))

    def handle_ROW_DESCRIPTION(self, data: bytes, context: Context) -> None:  # noqa: N802 - pg8000's name
        """Read the description of a result once; each statement has the same each time."""
        if data not in self._described:
            super().handle_ROW_DESCRIPTION(data, context)
            self._described[data] = context.columns, context.input_funcs
        context.columns, context.input_funcs = self._described[data]
        context.rows = context.rows or []

    def handle_messages(self, context: Context) -> None:
        """Read what the server answers up to ReadyForQuery, in pieces as large as they come."""
        data, start, code = b"", 0, b""
        while code != READY_FOR_QUERY:
            while len(data) < (end := _end_of_message(data, start)):
                piece = self._sock.read1(_READ_BYTES)
                if not piece:
                    raise pg8000.InterfaceError("network error")
                data, start = data[start:] + piece, 0
            code = data[start : start + 1]
            if code == DATA_ROW:
                context.rows.append(self._row(data, start + _ROW_HEADER_BYTES, context.input_funcs))
            else:
                self.message_types[code](data[start + _HEADER_BYTES : end], context)
            start = end
        if context.error is not None:
            raise context.error

    def _row(self, data: bytes, start: int, decoders: Sequence[Any]) -> list[Any]:
        row: list[Any] = []
        for decode in decoders:
            (length,) = _LENGTH.unpack_from(data, start)
            start += _LENGTH.size
            if length < 0:
                row.append(None)
            else:
                row.append(decode(data[start : start + length].decode(self._client_encoding)))
                start += length
        return row


class OneFlushCursor(pg8000.Cursor):  # type: ignore[misc]  # as above
    """pg8000's cursor, without turning the placeholders of other drivers into Postgres' own."""

    def execute(self, operation: str, args: Sequence[Any] = (), stream: Any = None) -> None:
        """Execute a statement, without parameters possibly several."""
        if not args or stream is not None:
            super().execute(operation, args, stream)
            return
        if not self._c.autocommit and not self._c._in_transaction:  # noqa: SLF001 - a cursor of that connection
            self._c.execute_simple("begin transaction")
        self._context = self._c.execute_unnamed(operation, args, self._input_oids)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids: Sequence[int] = ()


class OneFlushDialect(PGDialect_pg8000):
    """SQLAlchemy's dialect for these connections."""

    driver = DRIVER
    supports_statement_cache = True

    def __init__(self, **arguments: Any) -> None:
        """Write placeholders as Postgres does."""
        super().__init__(**arguments, paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

    def connect(self, *_: Any, **arguments: Any) -> Any:
        """Open a connection."""
        return OneFlushConnection(**arguments)

    def initialize(self, connection: Connection) -> None:
        """Ask the server nothing: its version decides on DDL, which no function of the API has."""


def _end_of_message(data: bytes, start: int) -> int:
    """Where the message that begins at `start` ends, or at least its header when that is not there yet."""
    if len(data) < start + _HEADER_BYTES:
        return start + _HEADER_BYTES
    length: int = _LENGTH.unpack_from(data, start + 1)[0]
    return start + 1 + length


@lru_cache
def _parse(statement: str, oids: tuple[int, ...], encoding: str) -> bytes:
    types = [_LENGTH.pack(max(oid, 0)) for oid in oids]
    parts = [NULL_BYTE, statement.encode(encoding), NULL_BYTE, _COUNT.pack(len(oids)), *types]
    return _message(PARSE, b"".join(parts))


def _timestamptz(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # infinity, or a year that Python does not have
        return timestamptz_in(text)


registry.register(f"postgresql.{DRIVER}", __name__, OneFlushDialect.__name__)
