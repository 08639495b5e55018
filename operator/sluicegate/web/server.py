"""The process: follows products and reviews, and serves the pages."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections
from sluicegate.runtime.serving_certificate import certificate_of
from sluicegate.runtime.tasks import restart_on_failure
from sluicegate.web.action_pages import ActionPages
from sluicegate.web.authorization import Authorizer
from sluicegate.web.identity import ReaderLogin
from sluicegate.web.installation import (
    READ_ONLY,
    WITHOUT_WRITERS,
    ClusterSource,
    Writers,
    Writes,
    writers_of,
)
from sluicegate.web.journey_pages import JourneyPages
from sluicegate.web.live_streams import LiveStreams
from sluicegate.web.operator_leases import OperatorLeases
from sluicegate.web.product_pages import PortfolioPages
from sluicegate.web.rendering import STATIC_DIRECTORY, Pages
from sluicegate.web.request_handling import RequestHandling, add_security_headers
from sluicegate.web.review_pages import ReviewPages
from sluicegate.web.store import STALE_SECONDS, Store

STATIC_SECONDS: Final = 86_400
LARGEST_FORM: Final = 16 * 1024
"""Largest form in bytes: a note of 500 characters has 6,000 at most when encoded."""
LIMITS: Final = {"max_field_size": 64 * 1024, "max_line_size": 16 * 1024}
"""Bytes of a header, and of an address, large enough for users with hundreds of groups."""
CONNECTION_BOUNDS: Final = Bounds(connections=512)
_UNAVAILABLE: Final = 503


def build_application(
    store: Store,
    login: ReaderLogin,
    authorizer: Authorizer,
    *,
    is_primed: Callable[[], bool],
    writers: Writers = WITHOUT_WRITERS,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """Construct the pages, their files, and the probes."""
    app = web.Application(client_max_size=LARGEST_FORM)
    app.on_response_prepare.append(add_security_headers)
    handling = RequestHandling(store, Pages(clock), login=login, authorizer=authorizer)
    portfolio = PortfolioPages(handling, writers.acting)
    portfolio.add_to(app.router)
    JourneyPages(handling).add_to(app.router)
    ReviewPages(handling, writers.signing).add_to(app.router)
    LiveStreams(handling).add_to(app)
    ActionPages(handling, writers.acting).add_to(app.router)
    for path in sorted(STATIC_DIRECTORY.iterdir()):
        app.router.add_get(f"/static/{path.name}", _file_handler(path.name))

    async def healthz(_: web.Request) -> web.Response:
        silence = store.silence()
        if silence is not None and silence > STALE_SECONDS:
            text = f"the API server has not answered for {silence:.0f} s\n"
            return web.Response(status=_UNAVAILABLE, text=text)
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if not is_primed():
            return web.Response(status=_UNAVAILABLE, text="the products are not read yet\n")
        return web.Response(text="ok\n")

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    portfolio.add_missing_to(app.router)
    return app


def _file_handler(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    body = (STATIC_DIRECTORY / name).read_bytes()
    kind = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}[
        name.rpartition(".")[2]
    ]

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": f"public, max-age={STATIC_SECONDS}, immutable", "Vary": ""}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    return answer


@asynccontextmanager
async def serve_page(
    source: ClusterSource,
    login: ReaderLogin,
    *,
    host: str,
    port: int,
    store: Store | None = None,
    writes: Writes = READ_ONLY,
    certificate_files: tuple[Path | None, Path | None] = (None, None),
) -> AsyncIterator[int]:
    """Follow and serve within the context; yield the port, which the system chooses if it is 0.

    `writes` : what readers may do; the source's account must be allowed to impersonate them for it.
    `certificate_files` : certificate chain and private key of HTTPS; plain HTTP without them.

    Raises
    ------
    CertificateUnreadable
        The files are no certificate with its key.
    """
    certificate = certificate_of(*certificate_files)
    store = store or Store(read=source.namespaces)
    followers = source.followers(store)
    authorizer = Authorizer(source.transport, store.namespaces, time.monotonic)
    app = build_application(
        store, login, authorizer,
        is_primed=lambda: all(follower.primed.is_set() for follower in followers),
        writers=writers_of(source.transport, writes),
    )  # fmt: skip
    connections = ClientConnections(CONNECTION_BOUNDS)
    app.middlewares.append(connections.middleware)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=2,
            max_field_size=LIMITS["max_field_size"], max_line_size=LIMITS["max_line_size"],
        )  # fmt: skip
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await BoundedSite(runner, host, port, connections, certificate=certificate).start()
        tasks = [asyncio.create_task(follower.run()) for follower in followers]
        leases = restart_on_failure("leases", OperatorLeases(source.api, store).run)
        tasks.append(asyncio.create_task(leases))
        try:
            yield int(runner.addresses[0][1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
