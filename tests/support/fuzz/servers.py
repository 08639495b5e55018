"""The servers of the project, listening on this machine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sluicegate.runtime.health import HealthVerdict
from sluicegate.runtime.http_server import Server
from sluicegate.web.identity import HeaderLogin, Proxy
from tests.support.portfolio.products import document
from tests.support.portfolio.served import served, store_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from ipaddress import IPv4Network
    from pathlib import Path


class Well:
    """A process without a problem."""

    def alive(self) -> HealthVerdict:
        return HealthVerdict(())

    def ready(self) -> HealthVerdict:
        return HealthVerdict(())


@asynccontextmanager
async def operator_server() -> AsyncIterator[int]:
    """Yield the port of metrics and probes; the messenger has the same server."""
    health: Any = Well()
    server = Server(health, lambda: None, host="127.0.0.1", port=0)
    try:
        yield await server.start()
    finally:
        await server.stop()


@asynccontextmanager
async def page_server(peers: tuple[IPv4Network, ...], secret: Path) -> AsyncIterator[int]:
    """Yield the port of the portfolio page behind a proxy at these addresses."""
    products = [document(name, "shop") for name in ("pricing", "search")]
    async with served(store_of(products), HeaderLogin(Proxy(peers, secret))) as page:
        assert page.server.port is not None
        yield page.server.port
