"""Authentication of readers, in one of four ways."""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from sluicegate.errors import SluicegateError
from sluicegate.kube import requests
from sluicegate.kube.errors import KubeError
from sluicegate.kube.resources import TOKEN_REVIEWS
from sluicegate.kube.transport import Transport
from sluicegate.runtime.rate_limiter import TokenBucket
from sluicegate.web.login_time import login_time_of
from sluicegate.web.ttl_cache import TtlCache

PROXY_HEADER: Final = "X-Sluicegate-Secret"
"""Header with the secret by which the proxy authenticates itself."""
AUTHENTICATED_GROUP: Final = "system:authenticated"
SYSTEM_PREFIX: Final = "system:"
"""Prefix of the names of the cluster's own users and groups."""
_MAX_TOKEN_LENGTH: Final = 16_384
"""Most characters of a bearer token."""
_MAX_GROUPS: Final = 1000
CACHE_SECONDS: Final = 60.0
"""Seconds for which the answer about a token, or about a reader, is cached."""
UNAUTHORIZED, TOO_MANY, UNAVAILABLE = 401, 429, 503


@dataclass(frozen=True, slots=True)
class PageReader:
    """A user as the API server identifies it.

    Attributes
    ----------
    own : whether the page uses this user's kubeconfig.
    session : secret of this reader's login, unknown to other sites; empty for an anonymous user.
    login_time : time at which the identity provider authenticated the person, in seconds since the epoch; None
        where the login doesn't carry it.
    """

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    own: bool = False
    session: bytes = field(default=b"", compare=False, repr=False)
    login_time: int | None = field(default=None, compare=False)


class AccessRefused(SluicegateError):  # noqa: N818 - the request was refused; nothing failed
    """A refused request: the HTTP status and a sentence for the client."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class ReaderLogin(Protocol):
    """A way to authenticate readers."""

    async def reader(self, request: web.Request) -> PageReader:
        """Return the reader who sends a request; raise AccessRefused for any other sender."""


class LocalLogin:
    """Login of a browser on this machine: a token in the URL is exchanged once for a cookie."""

    def __init__(self, user: str) -> None:
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._reader = PageReader(user, own=True, session=self._session.encode())
        self.hosts: frozenset[str] = frozenset()
        """Values of Host that are served: another name that leads here is an attack by DNS."""

    @property
    def token(self) -> str:
        """Return the unused token; empty once it was used."""
        return self._token or ""

    async def reader(self, request: web.Request) -> PageReader:
        """Return the reader with the cookie; redirect a request with the token, and set the cookie."""
        if request.host not in self.hosts:
            raise AccessRefused(403, "open the page by the address that `sluicegate web` printed")
        cookie = self.cookie(request.host)
        if hmac.compare_digest(_bytes(request.cookies.get(cookie, "")), self._session.encode()):
            return self._reader
        token = request.query.get("token", "")
        if self._token is not None and hmac.compare_digest(_bytes(token), self._token.encode()):
            self._token = None
            response = web.HTTPSeeOther(request.path)
            response.set_cookie(cookie, self._session, httponly=True, samesite="Strict", path="/")
            raise response
        raise AccessRefused(
            UNAUTHORIZED,
            "the token in the address is good for one browser: run `sluicegate web` again",
        )

    @staticmethod
    def cookie(host: str) -> str:
        """Return the name of the cookie, distinct for each port, as cookies ignore ports."""
        return f"sluicegate-{host.rpartition(':')[2]}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Settings of an authenticating proxy in front of the page.

    Attributes
    ----------
    peers : source addresses of its connections. secret : file with its value of X-Sluicegate-Secret.
    user, groups : names of the headers. user_prefix, group_prefix : those of the API server.
    separator : between groups of one header; if empty, each header is one group, commas included.
    login_time : name of the header with the time of the login; empty without one.
    """

    peers: tuple[IPv4Network | IPv6Network, ...]
    secret: Path
    user: str = "X-Forwarded-User"
    groups: str = "X-Forwarded-Groups"
    user_prefix: str = ""
    group_prefix: str = ""
    separator: str = ","
    login_time: str = ""


class HeaderLogin:
    """Login by headers of an authenticating proxy, only from its addresses and with its secret."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def reader(self, request: web.Request) -> PageReader:
        """Return the user in the proxy's headers; raise AccessRefused for any other sender."""
        proxy = self._proxy
        secret = self._secret(request) if self._is_from_proxy(request) else b""
        if not secret:
            raise AccessRefused(
                UNAUTHORIZED, "this page is served through its authenticating proxy only"
            )
        user_headers = request.headers.getall(proxy.user, [])
        if len(user_headers) != 1 or not user_headers[0].strip():
            raise AccessRefused(UNAUTHORIZED, f"the proxy named no user in the header {proxy.user}")
        lines = request.headers.getall(proxy.groups, [])
        if not all(map(_is_text, (user_headers[0], *lines))):
            raise AccessRefused(
                UNAUTHORIZED, f"the headers {proxy.user} and {proxy.groups} must be UTF-8"
            )
        user = f"{proxy.user_prefix}{user_headers[0].strip()}"
        if user.startswith(SYSTEM_PREFIX):
            raise AccessRefused(UNAUTHORIZED, "users of the system are not accepted from a header")
        header_names = (
            value.strip()
            for line in lines
            for value in (line.split(proxy.separator) if proxy.separator else (line,))
        )
        groups = {
            f"{proxy.group_prefix}{header_name}" for header_name in header_names if header_name
        }
        proxy_groups = sorted(group for group in groups if not group.startswith(SYSTEM_PREFIX))[
            :_MAX_GROUPS
        ]
        reader_groups = (*proxy_groups, AUTHENTICATED_GROUP)
        return PageReader(user, reader_groups, session=secret, login_time=self._login_time(request))

    def _login_time(self, request: web.Request) -> int | None:
        """Return the time of the login in its one header; None without the header, or with several."""
        name = self._proxy.login_time
        time_headers = request.headers.getall(name, []) if name else []
        return login_time_of(time_headers[0]) if len(time_headers) == 1 else None

    def _is_from_proxy(self, request: web.Request) -> bool:
        """Return whether the connection itself is from the proxy; headers about it are ignored."""
        peer_address = request.transport.get_extra_info("peername") if request.transport else None
        if not peer_address:
            return False
        address = ip_address(str(peer_address[0]).partition("%")[0])
        ipv4_address = getattr(address, "ipv4_mapped", None)
        return any((ipv4_address or address) in network for network in self._proxy.peers)

    def _secret(self, request: web.Request) -> bytes:
        """Return the proxy's secret, if the request has it; otherwise empty."""
        try:
            expected_secret = self._proxy.secret.read_bytes().strip()
        except OSError:
            return b""
        secret_headers = request.headers.getall(PROXY_HEADER, [])
        is_valid = len(secret_headers) == 1 and hmac.compare_digest(
            _bytes(secret_headers[0]), expected_secret
        )
        return expected_secret if is_valid else b""


class TokenLogin:
    """Login by a bearer token that the API server reviews; answers are cached for a minute at most."""

    def __init__(
        self, transport: Transport, audience: str, clock: Callable[[], float], *, rate: float = 20.0
    ) -> None:
        self._transport = transport
        self._audience = audience
        self._known: TtlCache[bytes, PageReader | None] = TtlCache(1000, CACHE_SECONDS, clock)
        self._clock = clock
        self._all = TokenBucket(clock, rate=rate, burst=2 * rate)
        self._peers: TtlCache[str, TokenBucket] = TtlCache(1000, 10 * CACHE_SECONDS, clock)

    async def reader(self, request: web.Request) -> PageReader:
        """Return the user of the token; raise AccessRefused for one that the API server refuses."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        headers = {"WWW-Authenticate": 'Bearer realm="sluicegate"'}
        if (
            scheme.casefold() != "bearer"
            or not token.isascii()
            or not 0 < len(token) <= _MAX_TOKEN_LENGTH
        ):
            raise AccessRefused(UNAUTHORIZED, "send a bearer token of the cluster", headers)
        digest = sha256(token.encode()).digest()
        reader = await self._known.get(digest, lambda: self._review(request, token))
        if reader is None:
            text = f"the token is expired, unknown, or not for the audience {self._audience}"
            raise AccessRefused(UNAUTHORIZED, text, headers)
        return replace(reader, session=digest, login_time=login_time_of(token))

    async def _review(self, request: web.Request, token: str) -> PageReader | None:
        self._check_rate(request)
        spec = {"token": token, "audiences": [self._audience]}
        try:
            token_review = await self._transport.send(requests.review(TOKEN_REVIEWS, spec))
        except KubeError as error:
            raise AccessRefused(UNAVAILABLE, "the API server does not review tokens now") from error
        return reader_of(token_review.get("status") or {}, self._audience)

    def _check_rate(self, request: web.Request) -> None:
        """Refuse a request beyond the limit of reviews: for one sender, and for all."""
        peer_address = str(request.remote)
        bucket = self._peers.peek(peer_address)
        if bucket is None:
            bucket = TokenBucket(self._clock, rate=1.0, burst=10.0)
            self._peers.put(peer_address, bucket)
        if not (bucket.try_take() and self._all.try_take()):
            raise AccessRefused(
                TOO_MANY, "too many new tokens: try again later", {"Retry-After": "5"}
            )


def _bytes(text: str) -> bytes:
    """Return the bytes that a client sent for this text; they need not be UTF-8."""
    return text.encode(errors="surrogateescape")


def _is_text(header: str) -> bool:
    """Return whether a client has sent a header as UTF-8: other bytes are surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in header)


def reader_of(status: Mapping[str, Any], audience: str) -> PageReader | None:
    """Return the reader in the status of a TokenReview; None for an invalid token or another audience."""
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    if not user.get("username"):
        return None
    extra = tuple(
        (str(name), tuple(map(str, values)))
        for name, values in sorted((user.get("extra") or {}).items())
    )
    return PageReader(
        str(user["username"]),
        tuple(map(str, user.get("groups") or ())),
        str(user.get("uid", "")),
        extra,
    )


class AnonymousLogin:
    """Login of all senders as one configured user, for example for a wall screen."""

    def __init__(self, user: str, groups: tuple[str, ...]) -> None:
        self._reader = PageReader(user, groups)

    async def reader(self, request: web.Request) -> PageReader:  # noqa: ARG002 - as the others have it
        """Return the configured user."""
        return self._reader
