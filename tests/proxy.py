"""A TCP proxy in front of Postgres, which does at a chosen moment what networks and servers do."""

import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Self

from sqlalchemy import make_url

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(Enum):
    """What becomes of a connection."""

    DROP = "both ends are closed, and what came last is lost"
    DELIVER_AND_DROP = "what came last still arrives, then both ends are closed"
    RESET = "the client's end is reset, and what came last is lost"
    MUTE = "nothing arrives any more, but both ends stay open"


@dataclass(frozen=True)
class Trap:
    """Waits for the bytes `seen` from one side; a client's bytes are compared in lower case."""

    from_client: bool
    seen: bytes
    fault: Fault
    # With this, an ErrorResponse with the SQLSTATE comes before the fault.
    sqlstate: str | None = None

    def catches(self, data: bytes, *, from_client: bool) -> bool:
        return from_client == self.from_client and self.seen in (data.lower() if from_client else data)


class Proxy:
    """Forwards connections until it is told to do something else."""

    def __init__(self, database_url: str, *, listening: bool = True) -> None:
        """Take a port; until it listens, connections to it are refused."""
        self.target = make_url(database_url)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.url = self.target.set(port=self.listener.getsockname()[1]).render_as_string(hide_password=False)
        self.trap: Trap | None = None
        self.round_trips = 0
        self.client_spoke_last = False
        self.caught = 0
        self.stopping = False
        self.peers: dict[socket.socket, socket.socket] = {}
        self.clients: set[socket.socket] = set()
        self.muted: set[socket.socket] = set()
        self.woken, self.wake = socket.socketpair()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._forward)
        if listening:
            self.listen()
        self.thread.start()

    def listen(self) -> None:
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake.send(b".")

    def on_client(self, seen: bytes, fault: Fault, sqlstate: str | None = None) -> None:
        """Have the fault happen whenever a client sends these bytes, given in lower case."""
        self.trap = Trap(from_client=True, seen=seen, fault=fault, sqlstate=sqlstate)

    def on_server(self, seen: bytes, fault: Fault) -> None:
        """Have the fault happen whenever the server sends these bytes."""
        self.trap = Trap(from_client=False, seen=seen, fault=fault)

    def repair(self) -> None:
        """Forward again; connections that are muted stay so."""
        self.trap = None

    def close(self) -> None:
        self.stopping = True
        self.wake.send(b".")
        self.thread.join()
        for end in (self.listener, self.woken, self.wake):
            end.close()
        self.selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forward(self) -> None:
        while not self.stopping:
            for key, _ in self.selector.select():
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self.woken:
                    self.woken.recv(100)
                elif one is self.listener:
                    self._accept()
                elif one in self.peers:
                    self._pass_on(one)
        for one in list(self.clients):
            self._end(one)

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection((self.target.host, self.target.port))
        except OSError:
            client.close()
            return
        self.clients.add(client)
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers[one] = other
            self.selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        data = b""
        with suppress(ConnectionError):
            data = one.recv(65536)
        from_client = one in self.clients
        if data and from_client != self.client_spoke_last:
            self.client_spoke_last = from_client
            self.round_trips += from_client
        trap = self.trap
        if not data:
            self._end(one)
        elif one in self.muted:
            pass
        elif trap is None or not trap.catches(data, from_client=from_client):
            self._send(one, data)
        else:
            self.caught += 1
            if trap.sqlstate is not None:
                one.sendall(_error_response(trap.sqlstate))
            if trap.fault is Fault.DELIVER_AND_DROP:
                self._send(one, data)
            if trap.fault is Fault.MUTE:
                self.muted |= {one, self.peers[one]}
            elif one in self.peers:
                self._end(one, reset=trap.fault is Fault.RESET)

    def _send(self, one: socket.socket, data: bytes) -> None:
        try:
            self.peers[one].sendall(data)
        except ConnectionError:
            self._end(one)

    def _end(self, one: socket.socket, *, reset: bool = False) -> None:
        for end in (one, self.peers[one]):
            if reset and end in self.clients:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.selector.unregister(end)
            self.clients.discard(end)
            self.muted.discard(end)
            del self.peers[end]
            end.close()


def _error_response(sqlstate: str) -> bytes:
    fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", f"C{sqlstate}", "Mnot now"))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that lets clients connect, and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
