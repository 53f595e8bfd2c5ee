"""A TCP proxy in front of Postgres, which counts round trips, and can speak TLS where Postgres does not."""

import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import trustme


class Forwarder:
    """Forwards connections for as long as this process lives; counts right for one client at a time."""

    def __init__(self, database_url: str, certificate: trustme.LeafCert | None = None) -> None:
        """Listen; with a certificate, every client must ask for TLS."""
        upstream = urlsplit(database_url)
        self.upstream = (upstream.hostname, upstream.port)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if certificate and self.tls:
            certificate.configure_cert(self.tls)
        self.round_trips = 0
        self.client_spoke_last = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        user = upstream.netloc.rpartition("@")[0]
        place = f"{user}@127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = upstream._replace(netloc=place).geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.tls:
            client.recv(8)
            client.sendall(b"S")
            try:
                client = self.tls.wrap_socket(client, server_side=True)
            except OSError:
                return  # the client does not trust the certificate
        with client, socket.create_connection(self.upstream) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=self._pass_on, args=[server, client], daemon=True)
            answers.start()
            self._pass_on(client, server, from_client=True)
            answers.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, *, from_client: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self.round_trips += from_client and not self.client_spoke_last
                self.client_spoke_last = from_client
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
