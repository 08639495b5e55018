"""The page over products and reviews that a test gives, in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from sluicegate.web.acting import Acting
from sluicegate.web.authorization import Authorizer
from sluicegate.web.identity import AnonymousLogin
from sluicegate.web.impersonation import ANY_LOGIN, RecentLogin
from sluicegate.web.installation import Writers
from sluicegate.web.server import LIMITS, build_application
from sluicegate.web.signing import Signing
from sluicegate.web.store import Store
from tests.support.apiserver.access_reviews import AccessReviews

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from sluicegate.web.identity import ReaderLogin

NOW = 1_795_863_600.0
"""2026-11-28T11:00:00Z"""


def store_of(
    documents: Iterable[dict[str, Any]],
    reviews: Iterable[dict[str, Any]] = (),
    read: tuple[str, ...] = (),
) -> Store:
    store = Store(lambda: NOW, read=read)
    for document in documents:
        store.products.observe(document)
    for document in reviews:
        store.reviews.observe(document)
    store.products.mark_current()
    return store


@asynccontextmanager
async def served(
    store: Store,
    login: ReaderLogin | None = None,
    server: AccessReviews | None = None,
    clock: Callable[[], float] = lambda: NOW,
    *,
    signing: bool = False,
    acting: bool = False,
    recent_login: RecentLogin = ANY_LOGIN,
) -> AsyncIterator[TestClient]:
    """Yield a client of the page; without a login everybody may see all."""
    server = server or AccessReviews({"everybody": {""}})
    login = login or AnonymousLogin("everybody", ())
    authorizer = Authorizer(server.transport(), store.namespaces, clock)
    signs = Signing(server.transport(), lambda: NOW) if signing else None
    acts = Acting(server.transport(), lambda: NOW, clock, recent_login) if acting else None
    app = build_application(
        store, login, authorizer, is_primed=lambda: True, writers=Writers(signs, acts),
        clock=lambda: NOW,
    )  # fmt: skip
    server_of = TestServer(app)
    await server_of.start_server(**LIMITS)
    async with TestClient(server_of, cookie_jar=CookieJar(unsafe=True)) as client:
        yield client
