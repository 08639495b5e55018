"""From a request to an answer: who asks, what this reader may see, and how it is sent."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from aiohttp import web

from sluicegate.web.authorization import Authorizer, Sight
from sluicegate.web.identity import UNAVAILABLE, AccessRefused, PageReader, ReaderLogin
from sluicegate.web.rendering import Pages, with_query
from sluicegate.web.seen import SeenPortfolio, Views
from sluicegate.web.store import STALE_SECONDS, Store

SECURITY: Final = {
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
_WORTH: Final = 1024
"""Bytes from which on an answer is compressed."""

_MISSING: Final = "There is no such page, or you can't see it."
_TITLES: Final = {
    401: "Not logged in",
    403: "Not allowed",
    404: "Not found",
    429: "Too many requests",
}
HTML, JSON, CSV = "", ".json", ".csv"
"""Forms of a page, by the end of its address."""

Handler = Callable[["ReaderRequest"], Awaitable[web.Response]]


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer has, errors too."""
    for name, value in SECURITY.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "private, no-cache")
    response.headers.setdefault("Vary", "Authorization, Cookie, Accept-Encoding")


@dataclass(frozen=True, slots=True)
class ReaderRequest:
    """One request of a known reader, and how it is answered."""

    request: web.Request
    pages: Pages
    reader: PageReader
    sight: Sight
    seen: SeenPortfolio
    silence: float | None

    @property
    def query(self) -> Mapping[str, str]:
        """The values in the address."""
        return self.request.query

    @property
    def match(self) -> Mapping[str, str]:
        """The parts of the path."""
        return self.request.match_info

    @property
    def extension(self) -> str:
        """`.json`, `.csv`, or empty for a page."""
        return self.request.match_info.get("extension", "")

    def html(self, template: str, status: int = 200, **values: Any) -> web.Response:
        """A page."""
        given = {name: value for name, value in self.request.query.items() if name != "token"}

        def here(path: str = self.request.path, **changed: object) -> str:
            return with_query(path, given, **changed)

        text = self.pages.render(
            template,
            {
                "reader": self.reader, "here": here, "path": self.request.path,
                "stale": self.silence is None or self.silence > STALE_SECONDS, **values,
            },
        )  # fmt: skip
        return self._send(text, "text/html", status=status)

    def json(self, value: Any) -> web.Response:
        """The same facts as JSON."""
        text = json.dumps(value, indent=1, ensure_ascii=False)
        return self._send(f"{text}\n", "application/json")

    def csv(self, text: str, name: str) -> web.Response:
        """The same facts as CSV, which a browser saves."""
        return self._send(
            text, "text/csv", {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        )

    def _send(
        self, text: str, kind: str, headers: Mapping[str, str] | None = None, *, status: int = 200
    ) -> web.Response:
        body = text.encode()
        tag = f'W/"{sha256(body).hexdigest()[:24]}"'
        told = {"ETag": tag, **(headers or {})}
        known = self.request.headers.get("If-None-Match", "")
        if self.request.method != "POST" and tag in (part.strip() for part in known.split(",")):
            return web.Response(status=304, headers=told)
        answer = web.Response(
            body=body, status=status, content_type=kind, charset="utf-8", headers=told
        )
        if len(body) >= _WORTH and "gzip" in self.request.headers.get("Accept-Encoding", ""):
            answer.enable_compression(web.ContentCoding.gzip)
        return answer


class Answering:
    """Answers requests of readers: establishes who asks, and asks what this reader may see."""

    def __init__(
        self, store: Store, pages: Pages, *, login: ReaderLogin, authorizer: Authorizer
    ) -> None:
        self.store = store
        self._views = Views(store)
        self._pages = pages
        self._login = login
        self._authorizer = authorizer

    def handler(self, of: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """What answers a request by this page."""

        async def answer(request: web.Request) -> web.StreamResponse:
            reader = PageReader("")
            try:
                reader = await self._login.reader(request)
                return await of(await self._asked(request, reader))
            except AccessRefused as refusal:
                status, text, headers = refusal.status, str(refusal), refusal.headers
            except web.HTTPNotFound:
                status, text, headers = web.HTTPNotFound.status_code, _MISSING, {}
            return self._refused(request, reader, status, text=text, headers=headers)

        return answer

    def _refused(
        self,
        request: web.Request,
        reader: PageReader,
        status: int,
        *,
        text: str,
        headers: Mapping[str, str],
    ) -> web.Response:
        """Why a request is not answered: as a page for a browser, otherwise as a line."""
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(status=status, text=f"{text}\n", headers=headers)
        shown = {
            "reader": reader, "path": request.path, "stale": False, "text": text[0].upper() + text[1:],
            "title": _TITLES.get(status, "Not available now"),
        }  # fmt: skip
        page = self._pages.render("refused.html", shown)
        return web.Response(status=status, text=page, content_type="text/html", headers=headers)

    async def _asked(self, request: web.Request, reader: PageReader) -> ReaderRequest:
        silence = self.store.silence()
        if silence is None:
            raise AccessRefused(
                UNAVAILABLE, "the products are being read: try again in some seconds"
            )
        sight = await self._authorizer.sight(reader)
        return ReaderRequest(request, self._pages, reader, sight, self._views.seen(sight), silence)
