"""A server over TLS: its handshakes are bounded, and its certificate is renewed without a restart."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from aiohttp import ClientSession, web
from prometheus_client import REGISTRY

from sluicegate.runtime.bounded_site import BoundedSite, Bounds, ClientConnections
from sluicegate.runtime.serving_certificate import CertificateUnreadable, ServingCertificate
from tests.support.processes.certificates import self_signed
from tests.support.processes.tls_secret import ADDRESS, TlsSecret

PATIENT = 30.0
"""Seconds that a test waits for what takes a fraction of one."""
REQUEST = b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n"
ENCRYPTED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhyQ0FhqUGdCAICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGZ5zQxjZ8BzCtYtZ7L4F+MEgZAA
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Yield what runs a coroutine in an event loop: that of the page, and that of the operator's image."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


@pytest.fixture
def secret(tmp_path) -> TlsSecret:
    return TlsSecret(tmp_path / "tls")


@asynccontextmanager
async def listening(secret: TlsSecret, **bounds: float):
    """Yield the port of a server with these bounds, and its connections."""

    async def peer(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.scheme} {request.remote}")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 50_000_000)

    connections = ClientConnections(Bounds(**bounds))
    app = web.Application(middlewares=[connections.middleware])
    app.router.add_get("/peer", peer)
    app.router.add_get("/large", large)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    certificate = ServingCertificate(secret.certificate_file, secret.private_key_file)
    await BoundedSite(runner, ADDRESS, 0, connections, certificate=certificate).start()
    try:
        yield runner.addresses[0][1], connections
    finally:
        await runner.cleanup()


async def answer(port: int, context: ssl.SSLContext) -> str:
    """Return the answer to a request on a connection of its own."""
    async with (
        ClientSession() as session,
        session.get(f"https://{ADDRESS}:{port}/peer", ssl=context) as response,
    ):
        return await response.text()


class RawClient:
    """A TLS client that decides which of its bytes it sends."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self.socket = socket.create_connection((ADDRESS, port), timeout=PATIENT)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=ADDRESS)

    def hello(self) -> bytes:
        """Return the first message of a handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    def finish(self) -> None:
        """End the handshake, but keep its last message."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._outgoing.read())
                self._incoming.write(self.socket.recv(65_536))

    def ask(self, request: bytes) -> bytes:
        """Send what is kept and a request in one piece; return the beginning of the answer."""
        self.tls.write(request)
        self.socket.sendall(self._outgoing.read())
        while True:
            try:
                return self.tls.read(1024)
            except ssl.SSLWantReadError:
                self._incoming.write(self.socket.recv(65_536))


def hello(port: int, secret: TlsSecret) -> bytes:
    client = RawClient(secret.client_context(), port)
    with client.socket:
        return client.hello()


@asynccontextmanager
async def sending(port: int, data: bytes, many: int = 1):
    """Yield clients that have sent this, and nothing since."""
    clients = [await asyncio.open_connection(ADDRESS, port) for _ in range(many)]
    for _, writer in clients:
        writer.write(data)
    try:
        yield [reader for reader, _ in clients]
    finally:
        for _, writer in clients:
            writer.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENT)
    except ConnectionError:
        return b""


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def free_descriptors(count: int):
    """Leave the process this many descriptors that it can open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, limits[1]))
    taken: list[int] = []
    with suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1 + count, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENT):
        while not condition():  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.01)


def test_a_server_with_a_certificate_answers_over_tls_and_reads_the_address_of_its_client(
    run, secret
):
    async def check() -> None:
        async with listening(secret) as (port, _):
            assert await answer(port, secret.client_context()) == f"https {ADDRESS}"

    run(check())


PARTS = {"nothing": 0, "half a first message": 40, "a first message": None}


@pytest.mark.parametrize("length", PARTS.values(), ids=PARTS)
def test_half_open_handshakes_fill_the_limit_and_end_at_the_deadline_of_a_header(
    run, secret, length
):
    async def check() -> None:
        async with listening(secret, connections=8, header=1.0) as (port, connections):
            data = hello(port, secret)[:length]
            async with sending(port, data, 20) as readers:
                await until(lambda: len(connections) == 8)
                first_answer = await answer(port, secret.client_context())
                assert len(connections) <= 8
                for reader in readers:
                    await ended(reader)
                await until(lambda: len(connections) == 0)
                assert [first_answer, await answer(port, secret.client_context())] == [
                    f"https {ADDRESS}"
                ] * 2

    run(check())


def test_any_number_of_half_open_handshakes_leaves_room_for_a_client(run, secret):
    async def check() -> None:
        async with (
            listening(secret, connections=20, header=600) as (port, connections),
            sending(port, hello(port, secret), 100),
        ):
            answers = [await answer(port, secret.client_context()) for _ in range(10)]
            assert answers == [f"https {ADDRESS}"] * 10
            assert len(connections) <= 20

    run(check())


def test_a_handshake_that_arrives_byte_by_byte_does_not_extend_its_deadline(run, secret):
    async def check() -> None:
        async with listening(secret, header=0.5) as (port, connections):
            data = hello(port, secret)
            _, writer = await asyncio.open_connection(ADDRESS, port)
            sent = 0
            while len(connections) or not sent:
                writer.write(data[sent : sent + 1])
                sent += 1
                assert sent < len(data)
                await asyncio.sleep(0.02)
            writer.close()

    run(check())


def test_a_client_without_a_request_after_its_handshake_is_closed_at_the_same_deadline(run, secret):
    async def check() -> None:
        async with listening(secret, header=0.5) as (port, connections):
            start_time = asyncio.get_running_loop().time()
            reader, writer = await asyncio.open_connection(
                ADDRESS, port, ssl=secret.client_context()
            )
            writer.write(REQUEST[:20])
            assert await ended(reader) == b""
            assert asyncio.get_running_loop().time() - start_time >= 0.45
            await until(lambda: len(connections) == 0)
            writer.close()

    run(check())


def test_a_request_in_the_last_message_of_a_handshake_is_answered(run, secret):
    async def check() -> None:
        async with listening(secret) as (port, _):

            def ask() -> bytes:
                client = RawClient(secret.client_context(), port)
                with client.socket:
                    client.finish()
                    return client.ask(REQUEST)

            assert (await asyncio.to_thread(ask)).startswith(b"HTTP/1.1 200 OK")

    run(check())


def test_plain_http_to_a_tls_port_ends_the_connection_without_a_log_line(run, secret, caplog):
    async def check() -> None:
        async with listening(secret) as (port, connections), sending(port, REQUEST) as (reader,):
            assert b"HTTP" not in await ended(reader)
            await until(lambda: len(connections) == 0)
        assert caplog.text == ""

    run(check())


VERSIONS = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}  # fmt: skip


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_a_handshake_below_tls_1_2_is_refused(run, secret, version):
    certificate = ServingCertificate(secret.certificate_file, secret.private_key_file)
    assert certificate.context().minimum_version is ssl.TLSVersion.TLSv1_2

    async def check() -> None:
        context = secret.client_context()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        async with listening(secret) as (port, _):
            if version is ssl.TLSVersion.TLSv1_1:
                with pytest.raises(OSError):  # noqa: PT011 - the server closes, without an alert
                    await asyncio.open_connection(ADDRESS, port, ssl=context)
            else:
                _, writer = await asyncio.open_connection(ADDRESS, port, ssl=context)
                assert writer.get_extra_info("ssl_object").version() == f"TLSv1.{version - 0x301}"
                writer.close()

    run(check())


def test_a_tls_client_that_does_not_read_its_response_is_disconnected(run, secret):
    async def check() -> None:
        request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
        async with listening(secret, unread=0.2) as (port, connections):
            _, writer = await asyncio.open_connection(ADDRESS, port, ssl=secret.client_context())
            writer.write(request)
            await until(lambda: len(connections) > 0)
            await until(lambda: len(connections) == 0)
            writer.close()

    run(check())


def test_a_stopped_server_closes_handshakes_and_leaves_no_descriptor_open(run, secret):
    async def check() -> None:
        async with listening(secret) as (port, _):  # opens what the event loop itself needs
            await answer(port, secret.client_context())
        descriptors = open_descriptors()
        async with listening(secret, connections=4, header=600) as (port, connections):
            clients = [await asyncio.open_connection(ADDRESS, port) for _ in range(12)]
            await until(lambda: len(connections) == 4)
        for reader, writer in clients:
            await ended(reader)
            writer.close()
        await until(lambda: open_descriptors() <= descriptors)

    run(check())


def test_a_connection_without_a_descriptor_for_its_handshake_is_closed(run, secret):
    async def check() -> None:
        async with listening(secret, header=600) as (port, _):
            await answer(port, secret.client_context())  # opens what the event loop itself needs
            with socket.socket() as client:
                client.setblocking(False)
                with free_descriptors(1):  # for the connection alone
                    await asyncio.get_running_loop().sock_connect(client, (ADDRESS, port))
                    data = await asyncio.wait_for(
                        asyncio.get_running_loop().sock_recv(client, 1), PATIENT
                    )
                assert data == b""
            assert await answer(port, secret.client_context()) == f"https {ADDRESS}"

    run(check())


def test_a_renewed_certificate_that_could_not_be_read_is_read_again(secret):
    certificate = ServingCertificate(secret.certificate_file, secret.private_key_file)
    before = certificate.context()
    secret.renew()
    with free_descriptors(0):
        assert certificate.context() is before
    assert certificate.context() is not before


def test_a_renewed_certificate_is_served_without_a_restart(run, secret):
    async def check() -> None:
        async with listening(secret) as (port, _):
            before = secret.client_context()
            async with ClientSession() as session:
                address = f"https://{ADDRESS}:{port}/peer"
                async with session.get(address, ssl=before) as response:
                    assert response.status == 200
                secret.renew()
                assert await answer(port, secret.client_context()) == f"https {ADDRESS}"
                with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                    await answer(port, before)
                async with session.get(
                    address, ssl=before
                ) as response:  # the connection from before
                    assert response.status == 200

    run(check())


def contents(case: str) -> dict[str, str]:
    """Return files that are no certificate with its key."""
    certificate, key = self_signed("localhost")
    return {
        "without a certificate": {"tls.crt": "", "tls.key": key},
        "with text for a key": {"tls.crt": certificate, "tls.key": "text"},
        "with the key of another certificate": {"tls.crt": certificate, "tls.key": self_signed("a")[1]},
        "with an encrypted key": {"tls.crt": certificate, "tls.key": ENCRYPTED},
        "without the file of the key": {"tls.crt": certificate},
    }[case]  # fmt: skip


BROKEN = {
    "without a certificate": "tls.crt: can't be used (there is no certificate in it)",
    "with text for a key": "tls.key: can't be used (there is no usable private key in it",
    "with the key of another certificate": "tls.key: can't be used (it is not the key of the certificate in",
    "with an encrypted key": "tls.key: can't be used (there is no usable private key in it",
    "without the file of the key": "tls.key: can't be used (No such file or directory)",
}  # fmt: skip


def read_errors() -> float:
    return REGISTRY.get_sample_value("certwatcher_read_certificate_errors_total") or 0


@pytest.mark.parametrize(("case", "message"), BROKEN.items(), ids=BROKEN)
def test_a_broken_renewal_keeps_the_certificate_before_and_is_logged_once(secret, case, message, caplog):  # fmt: skip
    certificate = ServingCertificate(secret.certificate_file, secret.private_key_file)
    context, errors = certificate.context(), read_errors()
    secret.write(contents(case))
    assert [certificate.context() for _ in range(3)] == [context] * 3
    assert caplog.text.count(message) == 1
    assert caplog.text.count("the server keeps the certificate before") == 1
    assert read_errors() == errors + 1
    secret.renew()
    renewed = certificate.context()
    assert renewed is not context
    assert certificate.context() is renewed
    assert read_errors() == errors + 1


@pytest.mark.parametrize(("case", "message"), BROKEN.items(), ids=BROKEN)
def test_a_server_does_not_start_without_a_certificate_and_names_file_and_way_out(secret, case, message):  # fmt: skip
    secret.write(contents(case))
    with pytest.raises(CertificateUnreadable) as error:
        ServingCertificate(secret.certificate_file, secret.private_key_file)
    assert f"{secret.folder}/{message}" in str(error.value)
    assert "both in PEM" in str(error.value)
