"""A TCP proxy in front of Postgres, which does at a chosen moment what networks and servers do."""

import selectors
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any, cast

from sqlalchemy import make_url

STOP_SECONDS = 0.05
# The round trips of connecting: the beginning, and two that show that both sides know the password.
CONNECTING = 3
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
    once: bool = False

    def catches(self, data: bytes, *, from_client: bool) -> bool:
        return from_client == self.from_client and self.seen in (data.lower() if from_client else data)


class Proxy(ThreadingTCPServer):
    """Forwards connections until it is told to do something else."""

    def __init__(self, database_url: str, *, listening: bool = True) -> None:
        """Take a port; until it listens, connections to it are refused."""
        super().__init__(("127.0.0.1", 0), BaseRequestHandler, bind_and_activate=False)
        self.server_bind()
        self.target = make_url(database_url)
        self.url = self.target.set(port=self.server_address[1]).render_as_string(hide_password=False)
        self.trap: Trap | None = None
        self.round_trips = 0
        self.client_spoke_last = False
        self.caught = 0
        self.stopped, self.stop = socket.socketpair()
        self.thread = threading.Thread(target=self.serve_forever, args=[STOP_SECONDS])
        if listening:
            self.listen()

    def listen(self) -> None:
        self.server_activate()
        self.thread.start()

    def on_client(
        self, seen: bytes, fault: Fault, sqlstate: str | None = None, *, once: bool = False
    ) -> None:
        """Have the fault happen whenever a client sends these bytes, given in lower case."""
        self.trap = Trap(from_client=True, seen=seen, fault=fault, sqlstate=sqlstate, once=once)

    def on_server(self, seen: bytes, fault: Fault, *, once: bool = False) -> None:
        """Have the fault happen whenever the server sends these bytes."""
        self.trap = Trap(from_client=False, seen=seen, fault=fault, once=once)

    def repair(self) -> None:
        """Forward again, and count anew; connections that are muted stay so."""
        self.trap = None
        self.caught = 0

    def server_close(self) -> None:
        """End all connections as well."""
        self.stop.close()
        if self.thread.is_alive():
            self.shutdown()
        super().server_close()
        self.stopped.close()

    def finish_request(self, request: Any, client_address: object) -> None:
        """Serve a connection, in a thread of its own."""
        with suppress(OSError), socket.create_connection((self.target.host, self.target.port)) as server:
            for end in (request, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._forward(request, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on what each end sends until one has ended, or a fault ends both."""
        muted = False
        # Not select(), which knows no descriptor above 1023.
        ends = selectors.PollSelector()
        for end in (client, server, self.stopped):
            ends.register(end, selectors.EVENT_READ)
        while (one := cast("socket.socket", ends.select()[0][0].fileobj)) is not self.stopped:
            if not (data := one.recv(65_536)):
                return
            from_client, other = one is client, server if one is client else client
            self.round_trips += from_client and not self.client_spoke_last
            self.client_spoke_last = from_client
            trap = None if muted else self.trap
            if trap and trap.catches(data, from_client=from_client):
                self.caught += 1
                if trap.once:
                    self.trap = None
                if trap.sqlstate:
                    one.sendall(error_response(trap.sqlstate))
                if trap.fault is Fault.DELIVER_AND_DROP:
                    other.sendall(data)
                if trap.fault is Fault.RESET:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    client.close()
                if trap.fault is not Fault.MUTE:
                    return
                muted = True
            elif not muted:
                other.sendall(data)


class Scripted:
    """A server that answers whatever a client sends with what comes next in its script, and then waits."""

    def __init__(self, *script: bytes, pause: float = 0) -> None:
        """Take a port; with a pause, it sends one byte at a time."""
        self.script, self.pause = script, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://scripted@127.0.0.1:{self.listener.getsockname()[1]}/scripted"
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._accept)

    def __enter__(self) -> "Scripted":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            for answer in self.script:
                if not client.recv(65_536):
                    return
                for piece in [answer] if not self.pause else [answer[i : i + 1] for i in range(len(answer))]:
                    client.sendall(piece)
                    self.stopped.wait(self.pause)
            self.stopped.wait()


def error_response(sqlstate: str) -> bytes:
    fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", f"C{sqlstate}", "Mnot now"))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"
