"""The paths that each port serves, checked on the port filter alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from sluicegate_service.paths import PortFilter

if TYPE_CHECKING:
    from collections.abc import Callable

API, METRICS = 3000, 3001


async def answer(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("answered")


def application(prefix: str = "", *more: Route) -> Starlette:
    """Return routes as BentoML has them, below a service's prefix."""
    system = ("/livez", "/readyz", "/healthz", "/metrics")
    return Starlette(
        routes=[
            *more,
            *(Route(prefix + path, answer) for path in system),
            Route(f"{prefix}/predict", answer, methods=["POST"]),
            WebSocketRoute(f"{prefix}/stream", answer),
            Mount(f"{prefix}/static_content", app=answer),
            Route("/docs.json", answer),
            Route(f"{prefix}/", answer),
        ]
    )


def filtered(
    prefix: str = "",
    *more: Route,
    declared: frozenset[str] = frozenset(),
    on_unknown: Callable[[], None] = lambda: None,
) -> PortFilter:
    return PortFilter(
        application(prefix, *more),
        declared=declared | {f"{prefix}/predict"},
        prefix=prefix,
        api_port=API,
        on_started=lambda: None,
        on_unknown=on_unknown,
    )


async def ask(app: PortFilter, port: int, path: str, **scope: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asked = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app({**asked, "root_path": "", "server": ("10.0.0.1", port), **scope}, receive, send)
    return sent


async def status(app: PortFilter, port: int, path: str, **scope: Any) -> int:
    return int((await ask(app, port, path, **scope))[0]["status"])


@pytest.mark.parametrize(
    ("port", "path", "desired"),
    [
        (API, "/docs.json", 200),
        (API, "/predict", 405),
        (API, "/metrics", 404),
        (API, "/livez", 404),
        (API, "/", 404),
        (API, "/static_content/a/b", 404),
        (API, "/unknown", 404),
        (API, "/docs.json\n", 404),
        (API, "/docs.json\r\n", 404),
        (METRICS, "/metrics\n", 404),
        (METRICS, "/metrics", 200),
        (METRICS, "/readyz", 200),
        (METRICS, "/docs.json", 404),
        (METRICS, "/unknown", 404),
        (9999, "/docs.json", 404),
    ],
)
async def test_each_port_serves_only_its_own_paths(port: int, path: str, desired: int):
    assert await status(filtered(), port, path) == desired


async def test_a_path_prefix_applies_to_all_paths():
    app = filtered("/v1")

    assert await status(app, API, "/v1/predict", method="POST") == 200
    assert await status(app, API, "/v1/metrics") == 404
    assert await status(app, METRICS, "/v1/readyz") == 200


async def test_a_route_that_the_service_declares_is_served_even_at_the_root():
    app = filtered("", Route("/", answer), declared=frozenset({"/"}))

    assert await status(app, API, "/") == 200


async def test_an_unknown_websocket_is_closed():
    sent = await ask(filtered(), API, "/nowhere", type="websocket", subprotocols=[])

    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_on_started_is_called_once_before_the_lifespan_startup_completes():
    told: list[str] = []
    app = PortFilter(
        application(),
        declared=frozenset(),
        prefix="",
        api_port=API,
        on_started=lambda: told.append("started"),
    )
    waiting = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        return {"type": next(waiting)}

    async def send(message: Any) -> None:
        told.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)

    assert told == ["started", "lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("prefix", ["", "/v2"])
@pytest.mark.parametrize(
    ("port", "path", "unknown"),
    [
        (API, "/classify", 1),
        (API, "/readyz/x", 1),
        (API, "/predict", 0),
        (API, "/readyz", 0),
        (API, "/", 0),
        (API, "/static_content/x.js", 0),
        (METRICS, "/classify", 0),
    ],
)
async def test_requests_to_unknown_paths_are_counted(
    prefix: str, port: int, path: str, unknown: int
):
    """Not what load balancers probe, nor what is asked of the port of metrics."""
    counted: list[None] = []
    app = filtered(prefix, on_unknown=lambda: counted.append(None))
    await ask(app, port, prefix + path, method="POST")
    assert len(counted) == unknown
