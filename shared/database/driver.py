"""A pg8000 connection that executes a statement in one network round trip.

pg8000 waits for the server after Parse, after Bind and Describe, and after Execute, and a Lambda is paid for
waiting. This is written against the inside of pg8000 1.31, to which pyproject.toml pins it.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
"""

import hashlib
import math
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any
from uuid import UUID

import pg8000
from pg8000 import core

Parameter = str | int | UUID | None
Statement = tuple[str, Sequence[Parameter]]

# Of a name: it is not there, its result has changed.
STALE_PREPARED_STATEMENT = {"26000", "0A000"}
# How the next transaction begins when this one was refused for what role or database make it by default.
_BEGIN = {
    "40001": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "25006": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",
}
# Of an error: SQLSTATE, message, hint, table, column, constraint. The others may hold values of rows.
_SAFE_FIELDS = frozenset("CMHtcn")

# Connection exceptions, shutdown, a system's error and Postgres' own.
SESSION_ENDED = ("08", "57P", "58", "XX")

_READ_BYTES = 32 * 1024
_COUNT, _LENGTH = struct.Struct("!H"), struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_PARAMETERS_AS_TEXT, _RESULTS_AS_TEXT = _COUNT.pack(0), _COUNT.pack(0)
_HEADER = struct.Struct("!ci")
_ONE_TEXT = (str,)


class PipelinedConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A connection that can send Parse, Bind, Execute and Sync in one flush; all else is pg8000's."""

    _usock: Any = None
    _sock: Any = None

    def __init__(self, attempts: list[Any], **arguments: Any) -> None:
        attempts.append(self)
        super().__init__(**arguments)
        self._prepared: set[bytes] = set()
        self._received = b""
        self.patience = self._until = math.inf
        self.is_settled = True
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Else a peer that has gone without a word is waited for like one that is slow.
            milliseconds = int(arguments["timeout"] * 1000)
            self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        self._usock.settimeout(0)
        with suppress(OSError):
            if self._sock.peek():
                self.hang_up()
                raise pg8000.InterfaceError("The server has said more than that it is ready.")

    def is_quiet(self) -> bool:
        """Tell whether it may be used: the server has said nothing since its last answer, nor gone."""
        poll = select.poll()
        poll.register(self._usock, select.POLLIN)
        if not poll.poll(0):
            return self.is_settled
        # Of TLS it may be but what is between the two ends.
        self._usock.settimeout(0)
        try:
            self._usock.recv(1)
        except OSError as error:
            return self.is_settled and isinstance(error, BlockingIOError | ssl.SSLWantReadError)
        return False

    def close(self) -> None:
        """Say goodbye, perhaps to nobody: pg8000 does so when a login fails, and would forget why it did."""
        buffer = self._sock
        with suppress(pg8000.InterfaceError):
            super().close()
        # What it still has to send it would try again when it is collected, with a traceback in the log.
        if buffer is not None:
            with suppress(OSError):
                buffer.close()

    def hang_up(self) -> None:
        """End the connection at once, so that the server gives up its transaction and its locks."""
        if self._usock is None:
            return
        # pg8000's own close leaves the socket open while a traceback, say, refers to its buffer.
        with suppress(OSError):
            self._usock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._sock.close()
        self._usock.close()

    def execute_pipelined(
        self,
        sql: str,
        parameters: Sequence[Parameter],
        *,
        prepared: bool,
        until: float = math.inf,
        first: Sequence[Statement] = (),
        then: Sequence[Statement] = (),
    ) -> list[str]:
        """Execute a statement with at most one row of one column, and return that as text.

        A `prepared` one is parsed once by the server, under a name that can mean no other SQL. What comes
        `first` and `then` is of the same transaction, which ends with the one flush, and adds its own rows.
        Raises TimeoutError at the time `until` of the monotonic clock.
        """
        statements = [*first, (sql, parameters), *then]
        names = [_name(each) if prepared else core.NULL_BYTE for each, _ in statements]
        known = self._prepared.intersection(names)
        self._prepared.update(names if prepared else ())
        self._until = until
        begin = b""
        while True:
            messages = [
                (b"" if name in known else _parse(name, each)) + _bind(name, given) + core.EXECUTE_MSG
                for name, (each, given) in zip(names, statements, strict=True)
            ]
            try:
                return self._flush(sql, begin, *messages)
            except pg8000.DatabaseError as error:
                code = sqlstate(error)
                # In these cases nothing was done; each is cured once.
                if known and code in STALE_PREPARED_STATEMENT:
                    known = set()
                elif not begin and code in _BEGIN:
                    setting = _parse(core.NULL_BYTE, _BEGIN[code])
                    begin = setting + _bind(core.NULL_BYTE, ()) + core.EXECUTE_MSG
                else:
                    raise

    def _flush(self, sql: str, *messages: bytes) -> list[str]:
        context = core.Context(sql, columns=[], input_funcs=_ONE_TEXT)
        self.is_settled = False
        unsent = memoryview(b"".join([*messages, core.SYNC_MSG]))
        while unsent:
            self._limit_wait()
            unsent = unsent[self._usock.send(unsent) :]
        try:
            self.handle_messages(context)
        except (LookupError, ValueError, struct.error) as error:
            raise pg8000.InterfaceError("The server does not speak Postgres' protocol.") from error
        return [text for (text,) in context.rows or ()]

    def _limit_wait(self) -> None:
        """Let the socket wait for what is left: its own limit is for each of many waits."""
        seconds = min(self.patience, self._until - time.monotonic())
        if seconds <= 0:
            raise TimeoutError("The time for the statement is up.")
        self._usock.settimeout(seconds if seconds < math.inf else None)

    def handle_messages(self, context: core.Context) -> None:
        """Read what the server answers up to ReadyForQuery, in pieces as large as they come."""
        data, start, code = self._received, 0, b""
        while code != core.READY_FOR_QUERY:
            while len(data) < (end := _end_of_message(data, start)):
                data, start = data[start:] + self._receive(context), 0
            code = data[start : start + 1]
            self.message_types[code](data[start + _HEADER.size : end], context)
            start = end
        self._received = data[start:]
        committed = self._transaction_status == core.IDLE or not self.autocommit
        self.is_settled = committed and not self._received
        if not committed and context.error is None:
            context.error = pg8000.DatabaseError({"C": "25001", "M": "a transaction is left open"})
        if context.error is not None:
            raise context.error

    def _receive(self, context: core.Context) -> bytes:
        self._limit_wait()
        if piece := self._usock.recv(_READ_BYTES):
            return bytes(piece)
        # What ends a session may come when all is done; of a statement's own error nothing is left.
        if context.error and not sqlstate(context.error).startswith(SESSION_ENDED):
            raise context.error
        raise pg8000.InterfaceError("The server has gone.") from context.error

    def handle_ERROR_RESPONSE(self, data: bytes, context: core.Context) -> None:  # noqa: N802 - pg8000's name
        """Keep an error without what it tells of rows, which would end in a log."""
        super().handle_ERROR_RESPONSE(data, context)
        fields = {key: text for key, text in context.error.args[0].items() if key in _SAFE_FIELDS}
        if fields.get("C", "").startswith("22"):
            # The message of a data exception quotes the value.
            fields["M"] = re.split('["„“«»:]', fields.get("M", ""))[0]
        context.error = pg8000.DatabaseError(fields)


def sqlstate(error: pg8000.Error) -> str:
    """Postgres' five characters for the kind of error; nothing when it is not Postgres that speaks."""
    fields = error.args[0] if error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


def _end_of_message(data: bytes, start: int) -> int:
    """Where the message that begins at `start` ends, or at least its header when that is not there yet."""
    if len(data) < start + _HEADER.size:
        return start + _HEADER.size
    _, length = _HEADER.unpack_from(data, start)
    if length < _LENGTH.size:
        raise ValueError("A message cannot be shorter than its header.")
    return start + 1 + int(length)


def _message(code: bytes, data: bytes) -> bytes:
    return code + _LENGTH.pack(len(data) + _LENGTH.size) + data


@lru_cache
def _name(sql: str) -> bytes:
    return hashlib.sha256(sql.encode()).hexdigest()[:32].encode() + b"\0"


@lru_cache
def _parse(name: bytes, sql: str) -> bytes:
    # In one flush with all else, because behind a pooler the next server may know other names.
    close = _message(core.CLOSE, core.STATEMENT + name)
    return close + _message(core.PARSE, name + sql.encode() + core.NULL_BYTE + _COUNT.pack(0))


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
