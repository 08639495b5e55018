"""One pool of connections to the API server, through the official client.

The client's generated models aren't used: bodies remain dictionaries, so a field that is unknown
to this version of the client is neither lost nor refused.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from multidict import CIMultiDict

from sluicegate.kube.errors import AnswerTooLarge, Transient, from_response
from sluicegate.kube.requests import ApiRequest

USER_AGENT = "sluicegate"
HTTP_OK = 200
HTTP_UNAUTHORIZED = 401


class Login(Protocol):
    """A function that creates the client's configuration, called again after refused credentials."""

    async def __call__(self) -> Configuration:
        """Return host, certificate authority and credentials."""


@dataclass(eq=False, slots=True)
class Pool:
    """Connections under one set of credentials; a retired pool is closed after its last use."""

    client: ApiClient
    users: int = 0
    retired: bool = False

    async def close_if_done(self) -> None:
        """Close the pool, if its credentials were refused and its last request has ended."""
        if self.retired and not self.users:
            await self.client.close()  # type: ignore[no-untyped-call]


class Connections:
    """A connection pool that is replaced, with a new login, after its credentials were refused."""

    def __init__(self, login: Login) -> None:
        """Store the login; the first request opens the pool."""
        self._login = login
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close the pool, also during requests; the next request opens another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.client.close()  # type: ignore[no-untyped-call]

    async def exchange(
        self, request: ApiRequest, max_bytes: int | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Send a request; return status, body and headers.

        AnswerTooLarge if the body has more than `max_bytes` bytes.
        """
        pool = await self._open()
        pool.users += 1
        try:
            api_answer = await exchange_once(pool.client, request, max_bytes)
            if api_answer[0] == HTTP_UNAUTHORIZED:
                self._retire(pool)
            return api_answer
        finally:
            pool.users -= 1
            await pool.close_if_done()

    async def lines(self, request: ApiRequest) -> AsyncIterator[bytes]:
        """Yield the lines of an answer as they arrive, such as those of a watch; a KubeError for a failure."""
        pool = await self._open()
        pool.users += 1
        try:
            response = await send_request(pool.client, request)
            try:
                if response.status != HTTP_OK:
                    if response.status == HTTP_UNAUTHORIZED:
                        self._retire(pool)
                    body = await response.read()
                    raise from_response(request.title, response.status, body, response.headers)
                async for line in split_lines(response.response.content.iter_any()):
                    yield line
            finally:
                abandon_response(response.response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Transient(f"{request.title}: {type(error).__name__}: {error}") from error
        finally:
            pool.users -= 1
            await pool.close_if_done()

    def _retire(self, pool: Pool) -> None:
        """Retire a pool: the next request logs in again, running ones keep their connections."""
        pool.retired = True
        if self._pool is pool:
            self._pool = None

    async def _open(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = Pool(ApiClient(await self._login()))
            return self._pool


async def exchange_once(
    client: ApiClient, request: ApiRequest, max_bytes: int | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    """Send a request; return status, body and headers.

    AnswerTooLarge if the body has more than `max_bytes` bytes.
    """
    response = await send_request(client, request)
    body = (
        await response.read()
        if max_bytes is None
        else await read_body(response.response, max_bytes)
    )
    if body is None:
        raise AnswerTooLarge(f"{request.title}: the answer has more than {max_bytes} bytes")
    return response.status, body, response.headers


async def send_request(client: ApiClient, request: ApiRequest) -> Any:
    """Send a request; return the client's response, whose body isn't read yet."""
    headers = CIMultiDict({"Content-Type": request.content_type, "User-Agent": USER_AGENT})
    headers.extend(request.headers)
    headers.extend(getattr(client.configuration, "impersonation", ()))
    await client.update_params_for_auth(
        headers, [], ["BearerToken"], request.path, request.method, None
    )
    return await client.rest_client.request(  # type: ignore[no-untyped-call]
        request.method,
        client.configuration.host + request.target,
        headers=headers,
        body=request.body,
        _request_timeout=aiohttp.ClientTimeout(total=request.seconds),
    )


def abandon_response(response: aiohttp.ClientResponse) -> None:
    """Close the connection of a response that may not have ended.

    A TLS connection is otherwise closed with a handshake, which could outlast the event loop.
    """
    connection = response.connection
    if connection is not None and isinstance(connection.transport, asyncio.WriteTransport):
        connection.transport.abort()
    response.close()


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield whole lines of any length; an incomplete last line is dropped."""
    line_remainder = bytearray()
    async for chunk in chunks:
        line_remainder += chunk
        if b"\n" in chunk:
            *lines, tail = bytes(line_remainder).split(b"\n")
            line_remainder = bytearray(tail)
            for line in lines:
                if line:
                    yield line


async def read_body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """Return the body of a response; None, with the connection closed, if it has more than `max_bytes` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            response.close()
            return None
    return bytes(body)
