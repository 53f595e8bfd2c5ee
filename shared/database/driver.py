"""A pg8000 connection that executes a statement in one network round trip.

pg8000 waits for the server after Parse, after Bind and Describe, and after Execute, and a Lambda is paid for
waiting. This is written against the inside of pg8000 1.31, to which pyproject.toml pins it.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import pg8000
from pg8000.core import (
    BIND,
    CLOSE,
    EXECUTE_MSG,
    NULL_BYTE,
    PARSE,
    READY_FOR_QUERY,
    STATEMENT,
    SYNC_MSG,
    Context,
)

Parameter = str | int | UUID | None

# Of a name: it is there already, it is not, its result has changed.
STALE_PREPARED_STATEMENT = {"42P05", "26000", "0A000"}

_READ_BYTES = 32 * 1024
_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_NULL = _LENGTH.pack(-1)
_PARAMETERS_AS_TEXT, _RESULTS_AS_TEXT = _COUNT.pack(0), _COUNT.pack(0)
_ONE_TEXT = (str,)
_HEADER_BYTES = 1 + _LENGTH.size


class _Execution(Context):  # type: ignore[misc]
    """What is being executed, under which name, and what has come of it so far."""

    def __init__(self, sql: str, name: bytes) -> None:
        super().__init__(sql, columns=[], input_funcs=_ONE_TEXT)
        self.name = name


class PipelinedConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that can send Parse, Bind, Execute and Sync in one flush; all else is pg8000's."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._prepared: set[bytes] = set()
        self._received = b""

    def execute_pipelined(self, sql: str, parameters: Sequence[Parameter], *, prepared: bool) -> str | None:
        """Execute a statement with at most one row of one column, and return that as text.

        A `prepared` one is parsed once by the server, under a name that can mean no other SQL.
        """
        execution = _Execution(sql, _name(sql) if prepared else NULL_BYTE)
        parse, bind = _parse(execution.name, sql), _bind(execution.name, parameters)
        if not prepared:
            return self._flush(execution, parse, bind)
        try:
            return self._flush(execution, b"" if execution.name in self._prepared else parse, bind)
        except pg8000.DatabaseError as error:
            if error.args[0].get("C") not in STALE_PREPARED_STATEMENT:
                raise
        # Nothing was done. All in one flush, because behind a pooler the next server may know other names.
        close = _message(CLOSE, STATEMENT + execution.name)
        return self._flush(_Execution(sql, execution.name), close, parse, bind)

    def _flush(self, execution: _Execution, *messages: bytes) -> str | None:
        if self._usock is None:
            raise pg8000.InterfaceError("connection is closed")
        self._usock.sendall(b"".join([*messages, EXECUTE_MSG, SYNC_MSG]))
        self.handle_messages(execution)
        return execution.rows[0][0] if execution.rows else None

    def handle_PARSE_COMPLETE(self, _data: bytes, context: Context) -> None:  # noqa: N802 - pg8000's name
        """Remember that the server has the statement, even if it fails with these parameters."""
        if isinstance(context, _Execution):
            self._prepared.add(context.name)

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
            self.message_types[code](data[start + _HEADER_BYTES : end], context)
            start = end
        # A notice may follow at any time, and begin in the same piece.
        self._received = data[start:]
        if context.error is not None:
            raise context.error


def _end_of_message(data: bytes, start: int) -> int:
    """Where the message that begins at `start` ends, or at least its header when that is not there yet."""
    if len(data) < start + _HEADER_BYTES:
        return start + _HEADER_BYTES
    length: int = _LENGTH.unpack_from(data, start + 1)[0]
    return start + 1 + length


def _message(code: bytes, data: bytes) -> bytes:
    return code + _LENGTH.pack(len(data) + _LENGTH.size) + data


@lru_cache
def _name(sql: str) -> bytes:
    return hashlib.sha256(sql.encode()).hexdigest()[:32].encode() + b"\0"


@lru_cache
def _parse(name: bytes, sql: str) -> bytes:
    return _message(PARSE, name + sql.encode() + NULL_BYTE + _COUNT.pack(0))


def _bind(name: bytes, parameters: Sequence[Parameter]) -> bytes:
    parts = [NULL_BYTE, name, _PARAMETERS_AS_TEXT, _COUNT.pack(len(parameters))]
    for parameter in parameters:
        if parameter is None:
            parts.append(_NULL)
        else:
            text = str(parameter).encode()
            parts += _LENGTH.pack(len(text)), text
    parts.append(_RESULTS_AS_TEXT)
    return _message(BIND, b"".join(parts))
