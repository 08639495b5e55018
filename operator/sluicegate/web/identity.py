"""Who reads: established from a request in one of four ways, never guessed."""

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
from sluicegate.web.expiring import Expiring

PROXY_HEADER: Final = "X-Sluicegate-Secret"
"""With which the proxy proves that it is the proxy."""
AUTHENTICATED: Final = "system:authenticated"
SYSTEM: Final = "system:"
"""How names of the cluster's own users and groups begin."""
_LONGEST: Final = 16_384
"""Characters of a bearer token that is reviewed."""
_MOST_GROUPS: Final = 1000
KEPT_SECONDS: Final = 60.0
"""For so long the answer about a token, or about a reader, is used again."""
UNAUTHORIZED, TOO_MANY, UNAVAILABLE = 401, 429, 503


@dataclass(frozen=True, slots=True)
class PageReader:
    """A user as the API server knows it.

    Attributes
    ----------
    own : whether the page reads with this user's kubeconfig.
    session : what only requests of this reader's login have, and other sites can't know; empty for a
        user that everybody is.
    """

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    own: bool = False
    session: bytes = field(default=b"", compare=False, repr=False)


class AccessRefused(SluicegateError):  # noqa: N818 - the request was refused; nothing failed
    """A request is not answered: the status, and a sentence for its sender."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


class ReaderLogin(Protocol):
    """Establishes who sends a request."""

    async def reader(self, request: web.Request) -> PageReader:
        """The reader; AccessRefused for a request of none."""


class LocalLogin:
    """A browser on this machine: a token in the URL, once, for a cookie of this process."""

    def __init__(self, user: str) -> None:
        self._token: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._reader = PageReader(user, own=True, session=self._session.encode())
        self.hosts: frozenset[str] = frozenset()
        """Values of Host that are served: another name that leads here is an attack by DNS."""

    @property
    def token(self) -> str:
        """The token that is good for one request; empty once it was used."""
        return self._token or ""

    async def reader(self, request: web.Request) -> PageReader:
        """Let in who has the cookie; a redirect sets it for who has the token."""
        if request.host not in self.hosts:
            raise AccessRefused(403, "open the page by the address that `sluicegate web` printed")
        cookie = self.cookie(request.host)
        if hmac.compare_digest(request.cookies.get(cookie, "").encode(), self._session.encode()):
            return self._reader
        given = request.query.get("token", "")
        if self._token is not None and hmac.compare_digest(given.encode(), self._token.encode()):
            self._token = None
            answer = web.HTTPSeeOther(request.path)
            answer.set_cookie(cookie, self._session, httponly=True, samesite="Strict", path="/")
            raise answer
        raise AccessRefused(
            UNAUTHORIZED,
            "the token in the address is good for one browser: run `sluicegate web` again",
        )

    @staticmethod
    def cookie(host: str) -> str:
        """Name of the cookie: cookies do not know ports, and two pages must not share one."""
        return f"sluicegate-{host.rpartition(':')[2]}"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An authenticating proxy in front of the page.

    Attributes
    ----------
    peers : where its connections come from. secret : file with what it sends in X-Sluicegate-Secret.
    user, groups : names of the headers. user_prefix, group_prefix : as the API server has them.
    """

    peers: tuple[IPv4Network | IPv6Network, ...]
    secret: Path
    user: str = "X-Forwarded-User"
    groups: str = "X-Forwarded-Groups"
    user_prefix: str = ""
    group_prefix: str = ""


class HeaderLogin:
    """Headers of an authenticating proxy, from its addresses and with its secret only."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def reader(self, request: web.Request) -> PageReader:
        """The user that the proxy names; AccessRefused for any other sender."""
        proxy = self._proxy
        secret = self._secret(request) if self._from_proxy(request) else b""
        if not secret:
            raise AccessRefused(
                UNAUTHORIZED, "this page is served through its authenticating proxy only"
            )
        given = request.headers.getall(proxy.user, [])
        if len(given) != 1 or not given[0].strip():
            raise AccessRefused(UNAUTHORIZED, f"the proxy named no user in the header {proxy.user}")
        user = f"{proxy.user_prefix}{given[0].strip()}"
        if user.startswith(SYSTEM):
            raise AccessRefused(UNAUTHORIZED, "users of the system are not accepted from a header")
        named = (
            part.strip()
            for line in request.headers.getall(proxy.groups, [])
            for part in line.split(",")
        )
        groups = {f"{proxy.group_prefix}{one}" for one in named if one}
        own = sorted(one for one in groups if not one.startswith(SYSTEM))[:_MOST_GROUPS]
        return PageReader(user, (*own, AUTHENTICATED), session=secret)

    def _from_proxy(self, request: web.Request) -> bool:
        """Whether the connection itself comes from the proxy; what a header says of it doesn't count."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if not peer:
            return False
        address = ip_address(str(peer[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._proxy.peers)

    def _secret(self, request: web.Request) -> bytes:
        """The proxy's secret, if the request has it; otherwise empty."""
        try:
            wanted = self._proxy.secret.read_bytes().strip()
        except OSError:
            return b""
        given = request.headers.getall(PROXY_HEADER, [])
        good = len(given) == 1 and hmac.compare_digest(given[0].encode(), wanted)
        return wanted if good else b""


class TokenLogin:
    """A bearer token that the API server reviews; its answers are kept for a minute at most."""

    def __init__(
        self, transport: Transport, audience: str, clock: Callable[[], float], *, rate: float = 20.0
    ) -> None:
        self._transport = transport
        self._audience = audience
        self._known: Expiring[bytes, PageReader | None] = Expiring(1000, KEPT_SECONDS, clock)
        self._clock = clock
        self._all = TokenBucket(clock, rate=rate, burst=2 * rate)
        self._peers: Expiring[str, TokenBucket] = Expiring(1000, 10 * KEPT_SECONDS, clock)

    async def reader(self, request: web.Request) -> PageReader:
        """The user of the token; AccessRefused for one that the API server does not know."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        headers = {"WWW-Authenticate": 'Bearer realm="sluicegate"'}
        if scheme.casefold() != "bearer" or not token or len(token) > _LONGEST:
            raise AccessRefused(UNAUTHORIZED, "send a bearer token of the cluster", headers)
        digest = sha256(token.encode()).digest()
        reader = await self._known.get(digest, lambda: self._review(request, token))
        if reader is None:
            text = f"the token is expired, unknown, or not for the audience {self._audience}"
            raise AccessRefused(UNAUTHORIZED, text, headers)
        return replace(reader, session=digest)

    async def _review(self, request: web.Request, token: str) -> PageReader | None:
        self._admit(request)
        spec = {"token": token, "audiences": [self._audience]}
        try:
            answer = await self._transport.send(requests.review(TOKEN_REVIEWS, spec))
        except KubeError as error:
            raise AccessRefused(UNAVAILABLE, "the API server does not review tokens now") from error
        return reader_of(answer.get("status") or {}, self._audience)

    def _admit(self, request: web.Request) -> None:
        """Refuse what would be too many reviews: of one sender, and of all."""
        peer = str(request.remote)
        bucket = self._peers.known(peer)
        if bucket is None:
            bucket = TokenBucket(self._clock, rate=1.0, burst=10.0)
            self._peers.put(peer, bucket)
        if not (bucket.try_take() and self._all.try_take()):
            raise AccessRefused(
                TOO_MANY, "too many new tokens: try again later", {"Retry-After": "5"}
            )


def reader_of(status: Mapping[str, Any], audience: str) -> PageReader | None:
    """The reader in the status of a TokenReview; None for a token that isn't good, or for others."""
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
    """Everybody is one configured user, say for a screen on a wall."""

    def __init__(self, user: str, groups: tuple[str, ...]) -> None:
        self._reader = PageReader(user, groups)

    async def reader(self, request: web.Request) -> PageReader:  # noqa: ARG002 - as the others have it
        """The configured user."""
        return self._reader
