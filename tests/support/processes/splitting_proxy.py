"""A reverse proxy on loopback that splits requests as a gateway does by an HTTPRoute.

Of the rules whose headers all match, that with the most headers applies; its backends get requests
by weight. It shows the rules that a canary needs for draws of consumers.
"""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import requests
from typing_extensions import override

from sluicegate.manifests.draw_route import prefixes_of_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DRAW = "sluicegate-draw"


@dataclass(frozen=True)
class RouteRule:
    """Exact matches of headers, and the weight of each backend's URL."""

    headers: Mapping[str, str]
    weights: Mapping[str, int]

    def matches(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has all headers."""
        return all(headers.get(name) == value for name, value in self.headers.items())


def canary_rules(upstream: str, stable: str, candidate: str, percent: int) -> list[RouteRule]:
    """Return the rules of an upstream's routes while a candidate has a share of the requests."""
    drawn = [
        {DRAW: upstream, f"{DRAW}-{len(prefix)}": prefix} for prefix in prefixes_of_share(percent)
    ]
    return [
        *(RouteRule(headers, {candidate: 1}) for headers in drawn),
        RouteRule({DRAW: upstream}, {stable: 1}),
        RouteRule({}, {stable: 100 - percent, candidate: percent}),
    ]


@dataclass
class SplittingProxy:
    """Its URL, its rules, which may be replaced, and the number of requests by backend."""

    url: str
    rules: Sequence[RouteRule]
    passed: dict[str, int] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(3))

    def backend(self, headers: Mapping[str, str]) -> str:
        """Return the backend of a request."""
        matching = [rule for rule in self.rules if rule.matches(headers)]
        rule = max(matching, key=lambda each: len(each.headers))
        return self.dice.choices(list(rule.weights), list(rule.weights.values()))[0]


@contextmanager
def splitting(rules: Sequence[RouteRule]) -> Iterator[SplittingProxy]:
    """Serve the proxy."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            backend = proxy.backend(headers)
            proxy.passed[backend] = proxy.passed.get(backend, 0) + 1
            kept = {k: v for k, v in headers.items() if k not in {"host", "content-length", "connection", "transfer-encoding"}}  # fmt: skip
            if headers.get("transfer-encoding") == "chunked":
                body = self._chunks()
            answer = requests.request(
                self.command, backend + self.path, data=body, headers=kept, timeout=30
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower().startswith(("sluicegate-", "content-type")):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST  # noqa: N815 - as the library calls it

        def _chunks(self) -> bytes:
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        @override
        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy = SplittingProxy(f"http://127.0.0.1:{server.server_port}", rules)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
