"""A client of the API server over one connection and without an event loop, for commands.

It sends the same requests and raises the same errors as `sluicegate.kube.transport`. It imports
only the standard library, so that commands start quickly.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self
from urllib.parse import urlsplit

from typing_extensions import override

from sluicegate.kube import requests
from sluicegate.kube.errors import Gone, KubeError, TimedOut, Transient, from_response
from sluicegate.kube.kubeconfig import Access
from sluicegate.kube.pages import parse_object
from sluicegate.kube.requests import ApiRequest
from sluicegate.kube.resources import Key, Resource

Body = dict[str, Any]
PAGE: Final = 250
WATCH_SECONDS: Final = 300
FIELD_MANAGER: Final = "sluicegate-plugin"
"""Field manager of commands. A name with the prefix kubectl would make Flux remove the fields from
an object that it applies."""
USER_AGENT: Final = "kubectl-sluicegate"
GZIP_WINDOW_BITS: Final = 31
"""Window bits with which zlib reads gzip."""


class DirectClient:
    """A client that sends one request after the other; every failure is a KubeError.

    Parameters
    ----------
    warn : called with each warning that the API server sends with an answer.
    """

    def __init__(self, access: Access, warn_user: Callable[[str], None] = lambda _: None) -> None:
        self._access = access
        self._warn = warn_user
        self._connection: http.client.HTTPConnection | None = None
        self._watching: set[socket.socket] = set()
        self._answer_date = ""

    @property
    def server_time(self) -> datetime:
        """Time of the last answer by the API server's clock; by that of this machine without one."""
        try:
            return parsedate_to_datetime(self._answer_date)
        except ValueError:
            return datetime.now(UTC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and end watches of other threads; the next request opens another."""
        for watch_socket in tuple(self._watching):
            with contextlib.suppress(OSError):
                watch_socket.shutdown(socket.SHUT_RDWR)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, resource: Resource, key: Key) -> Body:
        """Return an object; NotFound when there is none."""
        return self.send(requests.get_request(resource, key))

    def items(self, resource: Resource, *, namespace: str = "", labels: str = "") -> Iterator[Body]:
        """Yield the objects of a list, page by page; an empty namespace means all of them."""
        token = ""
        while True:
            page = self.send(
                requests.list_page(
                    resource, namespace=namespace, labels=labels, limit=PAGE, token=token
                )
            )
            yield from page.get("items") or ()
            token = str((page.get("metadata") or {}).get("continue") or "")
            if not token:
                return

    def patch(
        self, resource: Resource, key: Key, body: Body, *, resource_version: str | None
    ) -> Body:
        """Merge `body` into an object at `resource_version`; Conflict if it has another version."""
        return self.send(
            requests.patch_request(
                resource, key, body, field_manager=FIELD_MANAGER, resource_version=resource_version
            )
        )

    def send(self, request: ApiRequest) -> Body:
        """Send a request and return the object of its answer."""
        api_answer = self._exchange(request)
        body = api_answer.read()
        self._answer_date = api_answer.getheader("Date", "")
        if api_answer.getheader("Content-Encoding") == "gzip":
            body = zlib.decompress(body, GZIP_WINDOW_BITS)
        self._check(request, api_answer, body)
        return parse_object(request.title, body)

    def watch(
        self, resource: Resource, *, namespace: str = "", name: str = "", seconds: float = 0,
        labels: str = "", fields: str = "",
    ) -> Iterator[tuple[str, Body]]:  # fmt: skip
        """Yield each change (ADDED, MODIFIED, DELETED) until `seconds` are over.

        `fields` is a field selector; `name` alone selects by name.

        The first ones are the existing objects. It also ends when the server ends the watch.
        """
        limit = max(1, round(min(seconds or WATCH_SECONDS, WATCH_SECONDS)))
        query = [("watch", "true"), ("timeoutSeconds", str(limit))]
        query += [("fieldSelector", f"metadata.name={name}")] if name else []
        query += [("fieldSelector", fields)] if fields else []
        query += [("labelSelector", labels)] if labels else []
        path = resource.path(namespace)
        request = requests.ApiRequest("watch", "GET", path, query=tuple(query))
        watch_socket: socket.socket | None = None
        connection = open_connection(
            self._access
        )  # a connection of its own, as requests are sent during the watch
        try:
            api_answer = self._exchange_once(
                connection, request, None, limit + requests.READ_SECONDS
            )
            watch_socket = connection.sock
            if watch_socket is not None:
                self._watching.add(watch_socket)
            if api_answer.status // 100 != 2:  # noqa: PLR2004 - an HTTP status is its own name
                self._check(request, api_answer, api_answer.read())
            for line in api_answer:
                event = json.loads(line)
                if event.get("type") == "ERROR":
                    raise Gone(f"{request.title}: {event['object'].get('message', '')}")
                yield str(event["type"]), event["object"]
        except TimeoutError:
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            self._watching.discard(watch_socket)
            connection.close()

    def _exchange(self, request: ApiRequest) -> http.client.HTTPResponse:
        body = None if request.body is None else json.dumps(request.body).encode()
        is_new_connection = self._connection is None
        connection = self._connection = self._connection or open_connection(self._access)
        try:
            return self._exchange_once(connection, request, body, request.seconds)
        except TimeoutError as error:
            self.close()
            raise TimedOut(f"{request.title}: no answer in {request.seconds:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            connection_lost = isinstance(error, http.client.RemoteDisconnected | ConnectionError)
            if connection_lost and not is_new_connection and request.method == "GET":
                return self._exchange(request)  # the server closes idle connections
            server = self._access.server
            raise Transient(f"{request.title}: {server} can't be reached: {error}") from error

    def _exchange_once(
        self,
        connection: http.client.HTTPConnection,
        request: ApiRequest,
        body: bytes | None,
        seconds: float,
    ) -> http.client.HTTPResponse:
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        target = urlsplit(self._access.server).path + request.target
        connection.putrequest(request.method, target, skip_accept_encoding=True)
        headers = [("Accept", "application/json"), ("User-Agent", USER_AGENT)]
        headers += [("Accept-Encoding", "gzip")] if request.verb != "watch" else []
        headers += self._access.headers
        if body is not None:
            headers += [("Content-Type", request.content_type), ("Content-Length", str(len(body)))]
        for name, value in headers:  # one by one: a mapping can't hold a second Impersonate-Group
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse()

    def _check(
        self, request: ApiRequest, api_answer: http.client.HTTPResponse, body: bytes
    ) -> None:
        for warning in api_answer.headers.get_all("Warning") or ():
            self._warn(warning.partition('"')[2].rpartition('"')[0].replace('\\"', '"'))
        if api_answer.status // 100 != 2:  # noqa: PLR2004 - an HTTP status is its own name
            raise from_response(request.title, api_answer.status, body, dict(api_answer.headers))


def open_connection(access: Access) -> http.client.HTTPConnection:
    """Return a connection to the API server; its first request opens it."""
    url_parts = urlsplit(access.server)
    host = url_parts.hostname or ""
    proxy = access.proxy or _proxy_of(url_parts.scheme, host)
    if url_parts.scheme == "http":
        return http.client.HTTPConnection(host, url_parts.port)
    if proxy and urlsplit(proxy).scheme != "http":
        raise KubeError(f"the proxy {proxy} can't be used: only http:// proxies can")
    context = _tls_context(access)
    port = url_parts.port or 443  # without one, the client takes the end of an IPv6 address for it
    if access.server_name:
        return _NamedServerConnection(host, port, context, access.server_name)
    if not proxy:
        return http.client.HTTPSConnection(host, port, context=context)
    proxy_parts = urlsplit(proxy)
    connection = http.client.HTTPSConnection(
        proxy_parts.hostname or "", proxy_parts.port, context=context
    )
    connection.set_tunnel(host, port)
    return connection


class _NamedServerConnection(http.client.HTTPSConnection):
    """A connection to a server whose certificate has another name than its address."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, context=context)
        self._tls, self._name = context, name

    @override
    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _tls_context(access: Access) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=access.authority or None)
    # Python 3.13 refuses certificate authorities that all other clients of Kubernetes accept.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.certificate:
        import tempfile  # noqa: PLC0415 - is slow to import, and few have certificates

        with tempfile.TemporaryDirectory(
            prefix="sluicegate-"
        ) as temporary_folder:  # ssl reads files only
            path = os.path.join(temporary_folder, "client.pem")  # noqa: PTH118 - Path isn't imported here
            file_handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file_handle, "w") as file:
                file.write(f"{access.certificate}\n{access.key}")
            context.load_cert_chain(path)
    return context


def _proxy_of(scheme: str, host: str) -> str:
    """Return the proxy that the environment sets for a host; empty if there is none."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return ""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - is slow to import

    with contextlib.suppress(OSError):
        if proxy_bypass(host):
            return ""
    return getproxies().get(scheme, "")
