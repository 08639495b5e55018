"""Filter of the paths that a port answers, outside of everything that BentoML adds to a service.

BentoML's metrics middleware is the outermost of its application and uses each path as a label, also
paths that don't exist. The application can't install anything before it, so this filter wraps the
application. It uses the application's own routes, and has no list of its own.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.routing import BaseRoute, Match, Mount

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METRICS = "/metrics"
SYSTEM = ("/livez", "/readyz", "/healthz", METRICS)
FOLDERS = ("/static_content", "/assets")
PAGES = ("/", *FOLDERS)  # BentoML's page for trying the API out
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NOT_FOUND = b'{"error":"not found"}'
WEBSOCKET_POLICY_VIOLATION = 1008


class PortFilter:
    """An ASGI application in front of BentoML's.

    On `api_port` the service's routes answer, `declared` ones even if they have the name of a
    system path; on any other port metrics and probes answer. All other paths are 404. `guarded` is
    the application of the API port, behind the limits on requests, and `unguarded` that of
    other ports. `on_started` is called once,
    when the service has started, and `on_unknown` for each request to an unknown path of the API.
    BentoML's own paths don't count: load balancers probe them equally often at each pod, so they
    don't depend on the version.
    """

    def __init__(
        self,
        application: Any,
        *,
        declared: frozenset[str],
        prefix: str,
        api_port: int,
        on_started: Callable[[], None],
        on_unknown: Callable[[], None] = lambda: None,
        guarded: Application | None = None,
        unguarded: Application | None = None,
    ) -> None:
        self._application: Application = application
        self._guarded = guarded or self._application
        self._unguarded = unguarded or self._application
        self._api_port = api_port
        self._on_started = on_started
        self._on_unknown = on_unknown
        system = {prefix + path for path in SYSTEM}
        hidden_paths = {(prefix + path).rstrip("/") for path in (*SYSTEM, *PAGES)}
        hidden_paths -= {path.rstrip("/") for path in declared}
        self._hidden_paths = hidden_paths
        self._folders = tuple(f"{prefix}{folder}/" for folder in FOLDERS)
        self._api = [route for route in application.routes if _raw_path(route) not in hidden_paths]
        self._system = [
            route
            for route in application.routes
            if _raw_path(route) in system and not isinstance(route, Mount)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on the requests that the port answers."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, self._telling_when_started(send))
        elif self._answers(scope):
            answering = self._guarded if self._is_api(scope) else self._unguarded
            await answering(scope, receive, send)
        else:
            if scope["type"] == "http" and self._is_unknown(scope):
                self._on_unknown()
            await _refuse(scope, receive, send)

    def _is_unknown(self, scope: Scope) -> bool:
        """Return whether the API gets a path that neither the service nor BentoML has."""
        path = scope["path"]
        is_own = path.rstrip("/") in self._hidden_paths or path.startswith(self._folders)
        return self._is_api(scope) and not is_own

    def _answers(self, scope: Scope) -> bool:
        # A route's pattern ends with $, which also matches before a last line feed: such a path
        # would be a series of its own in the metrics.
        if CONTROL.search(scope["path"]):
            return False
        routes = self._api if self._is_api(scope) else self._system
        return any(route.matches(scope)[0] is not Match.NONE for route in routes)

    def _is_api(self, scope: Scope) -> bool:
        _, port = scope.get("server") or ("", None)
        return bool(port == self._api_port)

    def _telling_when_started(self, send: Send) -> Send:
        async def telling(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._on_started()
            await send(message)

        return telling


def _raw_path(route: BaseRoute) -> str:
    path: str = getattr(route, "path", "")
    return path.rstrip("/")


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION})
        return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(NOT_FOUND)).encode()),
    ]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": NOT_FOUND})
