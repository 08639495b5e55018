"""Handling of requests: the reader's identity and permissions, and the form of the answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from aiohttp import web

from sluicegate.views.operator_lease import AbandonedLease
from sluicegate.web.authorization import Authorizer, VisibleNamespaces
from sluicegate.web.identity import (
    UNAUTHORIZED,
    UNAVAILABLE,
    AccessRefused,
    PageReader,
    ReaderLogin,
)
from sluicegate.web.impersonation import FORM, form_texts, is_from_the_page
from sluicegate.web.rendering import Pages, with_query
from sluicegate.web.store import STALE_SECONDS, Store
from sluicegate.web.visible_portfolio import Views, VisiblePortfolio
from sluicegate.web.visits import Visit, visit_of

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: browsers would then send a form of the page with the Origin `null`.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_COMPRESSION_BYTES: Final = 1024
"""Bytes from which an answer is compressed."""

_NOT_FOUND_TEXT: Final = "There is no such page, or you can't see it."
_TITLES: Final = {
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    413: "Too large",
    429: "Too many requests",
}
HTML, JSON, CSV = "", ".json", ".csv"
"""Forms of a page, by the end of its address."""

Handler = Callable[["ReaderRequest"], Awaitable[web.StreamResponse]]


async def add_security_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add the security headers of every answer, errors included."""
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "private, no-cache")
    response.headers.setdefault("Vary", "Authorization, Cookie, Accept-Encoding")


@dataclass(frozen=True, slots=True)
class ReaderRequest:
    """A request of an authenticated reader, with the methods that answer it."""

    raw: web.Request
    pages: Pages
    reader: PageReader
    visible_namespaces: VisibleNamespaces
    portfolio: VisiblePortfolio
    silence: float | None
    outage_start: int | None
    abandoned_leases: tuple[AbandonedLease, ...] = ()
    """Leases of operators of visible products that are renewed no more."""

    @property
    def query(self) -> Mapping[str, str]:
        """Return the values of the address."""
        return self.raw.query

    @property
    def match(self) -> Mapping[str, str]:
        """Return the parts of the path."""
        return self.raw.match_info

    @property
    def extension(self) -> str:
        """`.json`, `.csv`, or empty for a page."""
        return self.raw.match_info.get("extension", "")

    def html(self, template: str, status: int = 200, **values: Any) -> web.Response:
        """Answer with a page."""
        query_values = {name: value for name, value in self.raw.query.items() if name != "token"}

        def here(path: str = self.raw.path, **changed_values: object) -> str:
            return with_query(path, query_values, **changed_values)

        text = self.pages.render(
            template,
            {
                "reader": self.reader, "here": here, "path": self.raw.path,
                "stale": self.silence is None or self.silence > STALE_SECONDS,
                "outage_start": self.outage_start, "abandoned_leases": self.abandoned_leases, **values,
            },
        )  # fmt: skip
        return self._send(text, "text/html", status=status)

    def json(self, value: Any) -> web.Response:
        """Answer with JSON."""
        text = json.dumps(value, indent=1, ensure_ascii=False)
        return self._send(f"{text}\n", "application/json")

    def csv(self, text: str, name: str) -> web.Response:
        """Answer with CSV, which a browser saves."""
        return self._send(
            text, "text/csv", {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        )

    def _send(
        self, text: str, kind: str, headers: Mapping[str, str] | None = None, *, status: int = 200
    ) -> web.Response:
        body = text.encode()
        tag = f'W/"{sha256(body).hexdigest()[:24]}"'
        all_headers = {"ETag": tag, **(headers or {})}
        etags = self.raw.headers.get("If-None-Match", "")
        if self.raw.method != "POST" and tag in (etag.strip() for etag in etags.split(",")):
            return web.Response(status=304, headers=all_headers)
        response = web.Response(
            body=body, status=status, content_type=kind, charset="utf-8", headers=all_headers
        )
        if len(body) >= _COMPRESSION_BYTES and "gzip" in self.raw.headers.get(
            "Accept-Encoding", ""
        ):
            response.enable_compression(web.ContentCoding.gzip)
        return response


async def _reason_of(request: web.Request) -> str:
    """Return the reason in a form of the page whose sender is not logged in any more; otherwise empty.

    A form of another site isn't shown: it would be a text of that site on this page.
    """
    if request.method != "POST" or request.content_type != FORM or not is_from_the_page(request):
        return ""
    try:
        form = await request.post()
    except (web.HTTPRequestEntityTooLarge, ValueError, LookupError):
        return ""
    return form_texts(form, ("reason",))["reason"]


class RequestHandling:
    """Handling of readers' requests: authentication, authorization, then the page."""

    def __init__(
        self, store: Store, pages: Pages, *, login: ReaderLogin, authorizer: Authorizer
    ) -> None:
        self.store = store
        self._views = Views(store)
        self._pages = pages
        self._login = login
        self._authorizer = authorizer

    def handler(
        self, page_handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler that answers a request with this page."""

        async def answer(request: web.Request) -> web.StreamResponse:
            reader = PageReader("")
            try:
                reader = await self._login.reader(request)
                return await page_handler(await self._reader_request(request, reader))
            except AccessRefused as refusal:
                status, text, headers = refusal.status, str(refusal), refusal.headers
            except web.HTTPNotFound:
                status, text, headers = web.HTTPNotFound.status_code, _NOT_FOUND_TEXT, {}
            except web.HTTPRequestEntityTooLarge as error:
                status, headers = error.status, {}
                text = "the form is too large, and nothing was sent: shorten its text"
            return await self._refusal(request, reader, status, text=text, headers=headers)

        return answer

    async def _refusal(
        self,
        request: web.Request,
        reader: PageReader,
        status: int,
        *,
        text: str,
        headers: Mapping[str, str],
    ) -> web.Response:
        """Answer with the reason of a refusal: as a page for a browser, otherwise as a line."""
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(status=status, text=f"{text}\n", headers=headers)
        values = {
            "reader": reader, "path": request.path, "stale": False, "outage_start": None, "abandoned_leases": (), "text": text[0].upper() + text[1:],
            "title": _TITLES.get(status, "Not available now"),
            "reason": await _reason_of(request) if status == UNAUTHORIZED else "",
        }  # fmt: skip
        page = self._pages.render("refused.html", values)
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    def visit(self, request: ReaderRequest) -> Visit | None:
        """Return the reader's visit of the portfolio for a request; None for technical readers."""
        return visit_of(request.raw, request.reader, self.store.clock())

    async def still_sees(self, request: ReaderRequest, namespace: str) -> bool:
        """Return whether the sender of an earlier request is logged in yet, and sees products of a namespace."""
        try:
            reader = await self._login.reader(request.raw)
            visible_namespaces = await self._authorizer.visible_namespaces(reader)
        except AccessRefused:
            return False
        return reader == request.reader and visible_namespaces.sees(namespace)

    async def _reader_request(self, request: web.Request, reader: PageReader) -> ReaderRequest:
        silence = self.store.silence()
        if silence is None:
            raise AccessRefused(
                UNAVAILABLE, "the products are being read: try again in some seconds"
            )
        visible_namespaces = await self._authorizer.visible_namespaces(reader)
        portfolio = self._views.portfolio(visible_namespaces)
        return ReaderRequest(
            request,
            self._pages,
            reader,
            visible_namespaces,
            portfolio,
            silence,
            self.store.outage_start(),
            tuple(
                lease
                for key, lease in self.store.abandoned_leases.items()
                if key in portfolio.operators
            ),
        )
