"""A pg8000 connection that executes a statement in one network round trip.

pg8000 waits for the server after Parse, after Bind and Describe, and after Execute, and a Lambda is paid for
waiting. This is written against the inside of pg8000 1.31, to which pyproject.toml pins it.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
"""

import hashlib
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

import pg8000
from pg8000 import core

Parameter = str | int | UUID | None

# Of a name: it is there already, it is not, its result has changed.
STALE_PREPARED_STATEMENT = {"42P05", "26000", "0A000"}

_READ_BYTES = 32 * 1024
_COUNT, _LENGTH = Struct("!H"), Struct("!i")
_NULL = _LENGTH.pack(-1)
_PARAMETERS_AS_TEXT, _RESULTS_AS_TEXT = _COUNT.pack(0), _COUNT.pack(0)
_ONE_TEXT = (str,)
_HEADER_BYTES = 1 + _LENGTH.size


class PipelinedConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that can send Parse, Bind, Execute and Sync in one flush; all else is pg8000's."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._prepared: set[bytes] = set()
        self._received = b""

    def settimeout(self, seconds: float) -> None:
        """Have the socket wait no longer than that for the server."""
        self._usock.settimeout(seconds)

    def is_readable(self) -> bool:
        """Tell whether the server has said something, or has gone."""
        poll = select.poll()
        poll.register(self._usock, select.POLLIN)
        return bool(poll.poll(0))

    def hang_up(self) -> None:
        """End the connection at once, so that the server gives up its transaction and its locks."""
        # pg8000's own close leaves the socket open while a traceback, say, refers to its buffer.
        with suppress(OSError):
            self._usock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._sock.close()
        self._usock.close()

    def execute_pipelined(self, sql: str, parameters: Sequence[Parameter], *, prepared: bool) -> str | None:
        """Execute a statement with at most one row of one column, and return that as text.

        A `prepared` one is parsed once by the server, under a name that can mean no other SQL.
        """
        name = _name(sql) if prepared else core.NULL_BYTE
        parse, bind = _parse(name, sql), _bind(name, parameters)
        if not prepared:
            return self._flush(sql, parse, bind)
        known = name in self._prepared
        self._prepared.add(name)
        try:
            return self._flush(sql, b"" if known else parse, bind)
        except pg8000.DatabaseError as error:
            if sqlstate(error) not in STALE_PREPARED_STATEMENT:
                raise
        # Nothing was done. All in one flush, because behind a pooler the next server may know other names.
        return self._flush(sql, _message(core.CLOSE, core.STATEMENT + name), parse, bind)

    def _flush(self, sql: str, *messages: bytes) -> str | None:
        context = core.Context(sql, columns=[], input_funcs=_ONE_TEXT)
        self._usock.sendall(b"".join([*messages, core.EXECUTE_MSG, core.SYNC_MSG]))
        self.handle_messages(context)
        return context.rows[0][0] if context.rows else None

    def handle_messages(self, context: core.Context) -> None:
        """Read what the server answers up to ReadyForQuery, in pieces as large as they come."""
        data, start, code = self._received, 0, b""
        while code != core.READY_FOR_QUERY:
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


def sqlstate(error: pg8000.DatabaseError) -> str:
    """Postgres' five characters for the kind of error."""
    return str(error.args[0].get("C", ""))


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
    return _message(core.PARSE, name + sql.encode() + core.NULL_BYTE + _COUNT.pack(0))


def _bind(name: bytes, parameters: Sequence[Parameter]) -> bytes:
    parts = [core.NULL_BYTE, name, _PARAMETERS_AS_TEXT, _COUNT.pack(len(parameters))]
    for parameter in parameters:
        if parameter is None:
            parts.append(_NULL)
        else:
            text = str(parameter).encode()
            parts += _LENGTH.pack(len(text)), text
    parts.append(_RESULTS_AS_TEXT)
    return _message(core.BIND, b"".join(parts))
