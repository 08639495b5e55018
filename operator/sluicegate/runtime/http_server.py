"""The operator's own HTTP server: metrics for Prometheus, probes for the kubelet."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections
from sluicegate.runtime.health import Health, HealthVerdict
from sluicegate.runtime.serving_certificate import ServingCertificate

HTTP_UNAVAILABLE = 503
CONNECTION_BOUNDS = Bounds(connections=64)
"""A kubelet and a few servers of Prometheus connect."""


class Server:
    """Server of `/metrics`, `/healthz` and `/readyz`; `before_scrape` updates gauges."""

    def __init__(
        self,
        health: Health,
        before_scrape: Callable[[], None],
        *,
        host: str,
        port: int,
        certificate: ServingCertificate | None = None,
    ) -> None:
        self._health = health
        self._before_scrape = before_scrape
        self._host = host
        self._port = port
        self._certificate = certificate
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; return the port, which the system chose if it was 0."""
        connections = ClientConnections(CONNECTION_BOUNDS)
        app = web.Application(middlewares=[connections.middleware])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await BoundedSite(
            self._runner, self._host, self._port, connections, certificate=self._certificate
        ).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        self._before_scrape()
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(), headers=headers)

    async def _healthz(self, _: web.Request) -> web.Response:
        return health_response(self._health.alive())

    async def _readyz(self, _: web.Request) -> web.Response:
        return health_response(self._health.ready())


def health_response(verdict: HealthVerdict) -> web.Response:
    """Return 200 `ok`, or 503 with one problem in each line."""
    if verdict.well:
        return web.Response(text="ok\n")
    return web.Response(
        status=HTTP_UNAVAILABLE, text="".join(f"{problem}\n" for problem in verdict.problems)
    )
