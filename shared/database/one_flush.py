"""A pg8000 connection that sends a statement in one flush.

pg8000 waits for the server after Parse, after Bind and Describe, and after Execute, and a Lambda is paid for
waiting. This is written against the inside of pg8000 1.31, to which pyproject.toml pins it; the way back to
the stock one is DATABASE_ONE_FLUSH=false.
"""

import itertools
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

import pg8000
from pg8000.converters import (
    BOOLEAN,
    NUMERIC,
    TIMESTAMPTZ,
    UUID_TYPE,
    make_params,
    string_in,
    timestamptz_in,
)
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

# The statement that was kept is gone, or its result has other columns since a migration.
NO_SUCH_STATEMENT, CHANGED_RESULT = "26000", "0A000"

_READ_BYTES = 32 * 1024
_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_IS_NULL = _LENGTH.pack(-1)
# All parameters as text, and at the end of Bind all results as text.
_PARAMETERS_AS_TEXT, _RESULTS_AS_TEXT = _COUNT.pack(0), _COUNT.pack(0)
_HEADER_BYTES = 1 + _LENGTH.size
_ROW_HEADER_BYTES = _HEADER_BYTES + _COUNT.size


def _message(code: bytes, data: bytes) -> bytes:
    return code + _LENGTH.pack(len(data) + _LENGTH.size) + data


_DESCRIBE = _message(DESCRIBE, PORTAL + NULL_BYTE)


class _Kept(NamedTuple):
    """A statement that the server keeps, and what it has said of its result."""

    name: bytes
    columns: Any
    input_funcs: Any


class OneFlushConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """What pg8000's connection does, in one network round trip a statement."""

    def __init__(self, *, keeps_statements: bool = False, **arguments: Any) -> None:
        """Connect; behind a pooler the server that keeps a statement may be another one the next time."""
        super().__init__(**arguments)
        for oid, decode in _CHEAP_DECODERS.items():
            self.register_in_adapter(oid, decode)
        self._keeps_statements = keeps_statements
        self._kept: dict[str, _Kept] = {}
        self._numbers = itertools.count()
        self._received = b""

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Context:
        """Execute a statement with Postgres' own placeholders."""
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        parse = _parse(NULL_BYTE, statement, tuple(oids), self._client_encoding)
        return self._send(Context(statement), parse, self._bind(NULL_BYTE, vals), _DESCRIBE)

    def execute_kept(self, statement: str, vals: Sequence[Any]) -> Context:
        """Execute a statement that the server parses once, and plans once when its values do not matter."""
        if not self._keeps_statements:
            return self.execute_unnamed(statement, vals)
        kept = self._kept.get(statement)
        if kept is None or kept.columns is None:
            return self._keep(statement, vals, kept)
        context = Context(statement, columns=kept.columns, input_funcs=kept.input_funcs)
        try:
            return self._send(context, self._bind(kept.name, vals))
        except pg8000.DatabaseError as error:
            if self._in_transaction or error.args[0].get("C") not in {NO_SUCH_STATEMENT, CHANGED_RESULT}:
                raise
        # Which has done nothing.
        del self._kept[statement]
        return self._keep(statement, vals)

    def _keep(self, statement: str, vals: Sequence[Any], kept: _Kept | None = None) -> Context:
        """Have the server keep it, if it does not yet, and learn what its result is like."""
        name = kept.name if kept else b"kept_%d\0" % next(self._numbers)
        parse = b"" if kept else _parse(name, statement, (), self._client_encoding)
        context = Context(statement)
        context.is_parsed = kept is not None
        try:
            return self._send(context, parse, self._bind(name, vals), _DESCRIBE)
        finally:
            # What it does with these values may fail after the server has accepted it.
            if context.is_parsed:
                self._kept[statement] = _Kept(name, context.columns, context.input_funcs)

    def handle_PARSE_COMPLETE(self, _data: bytes, context: Context) -> None:  # noqa: N802 - pg8000's name
        """Note that the server has accepted the statement."""
        context.is_parsed = True

    def _send(self, context: Context, *messages: bytes) -> Context:
        if self._sock is None:
            raise pg8000.InterfaceError("connection is closed")
        self._usock.sendall(b"".join([*messages, EXECUTE_MSG, SYNC_MSG]))
        self.handle_messages(context)
        return context

    def _bind(self, name: bytes, values: Sequence[Any]) -> bytes:
        parts = [NULL_BYTE, name, _PARAMETERS_AS_TEXT, _COUNT.pack(len(values))]
        for text in make_params(self.py_types, values):
            if text is None:
                parts.append(_IS_NULL)
            else:
                encoded = text.encode(self._client_encoding)
                parts += _LENGTH.pack(len(encoded)), encoded
        parts.append(_RESULTS_AS_TEXT)
        return _message(BIND, b"".join(parts))

    def handle_messages(self, context: Context) -> None:
        """Read what the server answers up to ReadyForQuery, in pieces as large as they come."""
        data, start, code = self._received, 0, b""
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
        # A notice may follow at any time, and begin in the same piece.
        self._received = data[start:]
        if context.error is not None:
            raise context.error

    def _row(self, data: bytes, start: int, decoders: Sequence[Any]) -> list[Any]:
        unpack, encoding = _LENGTH.unpack_from, self._client_encoding
        row: list[Any] = []
        for decode in decoders:
            (length,) = unpack(data, start)
            start += 4
            if length < 0:
                row.append(None)
            else:
                end = start + length
                text = data[start:end].decode(encoding)
                row.append(text if decode is string_in else decode(text))
                start = end
        return row


def _end_of_message(data: bytes, start: int) -> int:
    """Where the message that begins at `start` ends, or at least its header when that is not there yet."""
    if len(data) < start + _HEADER_BYTES:
        return start + _HEADER_BYTES
    length: int = _LENGTH.unpack_from(data, start + 1)[0]
    return start + 1 + length


@lru_cache
def _parse(name: bytes, statement: str, oids: tuple[int, ...], encoding: str) -> bytes:
    types = [_LENGTH.pack(max(oid, 0)) for oid in oids]
    parts = [name, statement.encode(encoding), NULL_BYTE, _COUNT.pack(len(oids)), *types]
    return _message(PARSE, b"".join(parts))


def _uuid(text: str) -> UUID:
    return UUID(int=int(text.replace("-", ""), 16))


def _timestamptz(text: str) -> Any:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # infinity, or a year that Python does not have
        return timestamptz_in(text)


# They return what pg8000's own do; strptime alone takes longer than the rest of a row.
_CHEAP_DECODERS = {BOOLEAN: "t".__eq__, NUMERIC: Decimal, UUID_TYPE: _uuid, TIMESTAMPTZ: _timestamptz}
