"""Reads a file by https, and connects to no address of the node itself.

The address that is judged is the one that is connected to: names, octal and short forms, other
digits and redirects all end there, whatever a library makes of their text.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import socket
import ssl
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

if TYPE_CHECKING:
    from email.message import Message

CONNECT_SECONDS = 20
READ_SECONDS = 120
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)  # fmt: skip
"""Addresses of clouds' metadata services that aren't link-local."""
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_SAFE = "/%~!$&'()*+,;=:@?"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(Exception):  # noqa: N818  # says what is the case
    """A URL leads to an address of the node, or is no https; the message names it."""


class Connection(http.client.HTTPSConnection):
    """A connection to an address that isn't one of the node."""

    def connect(self) -> None:  # type: ignore[explicit-override]
        """Connect to the first address that answers, and agree on TLS for the name."""
        plain = connect(self.host, self.port)
        try:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock.settimeout(READ_SECONDS)


def open_https(url: str) -> IO[bytes]:
    """Return the content of a URL, after at most five redirects to other https URLs.

    Raises
    ------
    AddressRefused
        The URL or one that it redirects to.
    OSError, http.client.HTTPException
        The server can't be reached, or answers with an error.
    """
    for _ in range(MOST_REDIRECTS + 1):
        response = _answer(urlsplit(url))
        if response.status not in REDIRECTS:
            if response.status != http.HTTPStatus.OK:
                raise OSError(f"the server answers {response.status} {response.reason[:100]}")
            return cast("IO[bytes]", response)
        response.close()
        url = redirected(url, response.headers)
    raise OSError(f"it redirects more than {MOST_REDIRECTS} times")


def redirected(url: str, headers: Message) -> str:
    """Return where an answer redirects to; AddressRefused for anything but https."""
    target = urljoin(url, headers.get("Location", ""))
    if target == url or urlsplit(target).scheme != "https":
        raise AddressRefused(f"{url} redirects to {target}: only https is followed")
    return target


def connect(host: str, port: int) -> socket.socket:
    """Return a connection to a host, none of whose addresses is one of the node."""
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, place in places:
        refuse_local(host, str(place[0]))
    problem: OSError | None = None
    for family, kind, protocol, _, place in places:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(place)
            refuse_local(host, str(connection.getpeername()[0]))
        except OSError as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise problem or OSError(f"{host} has no address")


def refuse_local_literal(host: str) -> None:
    """Check a host that is an address with `refuse_local`: it isn't resolved."""
    with contextlib.suppress(ValueError):
        refuse_local(host, str(ipaddress.ip_address(host)))


def refuse_local(host: str, address: str) -> None:
    """Raise AddressRefused if `address` is the node's own, its neighbours', or a cloud's metadata."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    for candidate in (parsed, *_embedded(parsed)):
        if (
            candidate.is_loopback
            or candidate.is_link_local
            or candidate.is_unspecified
            or candidate.is_multicast
            or candidate in METADATA
        ):
            raise AddressRefused(f"{host} is {address}, an address of the node itself: refused")


def _embedded(address: Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that a gateway of IPv6 would connect to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in NAT64) or not int(address) >> 32:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inside if one is not None]


def _answer(parts: SplitResult) -> http.client.HTTPResponse:
    if not parts.hostname:
        raise AddressRefused(f"{parts.geturl()} names no host")
    connection = Connection(parts.hostname, parts.port or 443)
    headers = {"User-Agent": "sluicegate-fetch"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    path = quote(parts.path or "/", _SAFE)
    if parts.query:
        path += f"?{quote(parts.query, _SAFE)}"
    connection.request("GET", path, headers=headers)
    return connection.getresponse()
