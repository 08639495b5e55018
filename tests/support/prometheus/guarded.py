"""A reverse proxy in front of a Prometheus that demands TLS, a bearer token and a tenant; and a forward proxy."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import requests
from typing_extensions import override

from tests.support.processes.certificates import signed_by_an_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN, TENANT = "of-the-operator", "shop"


class _Server(ThreadingHTTPServer):
    @override
    def handle_error(self, *_: object) -> None:
        """Ignore clients that do not trust the certificate."""


class _Handler(BaseHTTPRequestHandler):
    @override
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@dataclass
class Guard:
    """The address of the reverse proxy, the file of its CA, and the headers of what passed."""

    url: str
    authority: Path
    passed: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def guarded(prometheus: str, folder: Path) -> Iterator[Guard]:
    """Serve a Prometheus to those who have its CA, the token and the tenant, as Mimir behind a gateway does."""
    authority, certificate, key = signed_by_an_authority("127.0.0.1")
    for name, text in (("ca.crt", authority), ("tls.crt", certificate), ("tls.key", key)):
        (folder / name).write_text(text, encoding="utf-8")
    guard = Guard("", folder / "ca.crt")

    class Handler(_Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._answer(401, b"Unauthorized")
            elif self.headers.get("X-Scope-OrgID") != TENANT:
                self._answer(401, b"no org id")
            else:
                guard.passed.append(dict(self.headers))
                kind = self.headers.get("Content-Type", "")
                answer = requests.request(
                    self.command, prometheus + self.path, data=body, timeout=30,
                    headers={"Content-Type": kind},
                )  # fmt: skip
                self._answer(answer.status_code, answer.content)

        do_GET = do_POST  # noqa: N815 - as the library calls it

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _Server(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        guard.url = f"https://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield guard
        finally:
            server.shutdown()


@contextmanager
def forward_proxy(targets: list[str]) -> Iterator[str]:
    """Yield the address of a proxy that connects to others by CONNECT, and notes to which."""

    class Handler(_Handler):
        def do_CONNECT(self) -> None:
            targets.append(self.path)
            host, _, port = self.path.partition(":")
            with socket.create_connection((host, int(port)), timeout=30) as other:
                self.send_response(200)
                self.end_headers()
                both = [self.connection, other]
                while ready := select.select(both, [], [], 30)[0]:
                    for source in ready:
                        received = source.recv(2**16)
                        if not received:
                            return
                        (other if source is self.connection else self.connection).sendall(received)

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
