"""One connection to the API server: TLS by name, proxies, compressed answers, connections that close."""

from __future__ import annotations

import gzip
import json
import random
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from sluicegate.kube.direct_client import DirectClient, open_connection
from sluicegate.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    TimedOut,
    Transient,
    Unauthorized,
)
from sluicegate.kube.kubeconfig import Access
from sluicegate.kube.requests import ApiRequest
from sluicegate.kube.resources import DATA_PRODUCTS, Key
from tests.support.processes.certificates import self_signed

KEY = Key("catalog", "pricing")
READ = ApiRequest("get", "GET", "/x")


class Server(BaseHTTPRequestHandler):
    """Answers each request with what `answers` has next; remembers how it was asked."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[list]
    asked: ClassVar[list]

    def _answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append((self.command, self.path, self.headers))
        status, headers, body = self.answers.pop(0)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if headers.get("Connection") == "late close":
            self.close_connection = True

    do_GET = _answer  # noqa: N815 - the standard library calls it so
    do_PATCH = _answer  # noqa: N815
    do_CONNECT = _answer  # noqa: N815

    def log_message(self, *_):
        pass


@contextmanager
def serving(*answers, context=None):
    asked: list = []
    handler = type("Handler", (Server,), {"answers": list(answers), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


def ok(body=b'{"kind": "X"}', **headers):
    return 200, headers, body


def read(access, *, seconds=10.0, warn=lambda _: None):
    """Return the answer to one request over a connection of its own."""
    with DirectClient(access, warn) as client:
        return client.send(replace(READ, seconds=seconds))


def failure(status, reason):
    return status, {}, json.dumps({"kind": "Status", "reason": reason, "message": "no"}).encode()


def test_each_request_has_the_impersonated_user_and_all_groups():
    headers = (("Authorization", "Bearer t"), ("Impersonate-User", "dpm"),
               ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))  # fmt: skip
    with serving(ok(), ok()) as (port, asked):
        with DirectClient(Access(f"http://127.0.0.1:{port}/base", headers=headers)) as client:
            client.get(DATA_PRODUCTS, KEY)
            opened = client._connection
            client.patch(DATA_PRODUCTS, KEY, {"metadata": {}}, resource_version="7")
            assert client._connection is opened
        (_, path, first), (method, _, second) = asked
    assert path == "/base/apis/sluicegate.dev/v1alpha1/namespaces/catalog/dataproducts/pricing"
    assert first.get_all("Impersonate-Group") == ["a", "b"]
    assert (method, second["Content-Type"]) == ("PATCH", "application/merge-patch+json")


def test_flux_does_not_revert_manual_requests():
    # Flux takes over the fields of each manager whose name begins with kubectl.
    with serving(ok()) as (port, asked):
        with DirectClient(Access(f"http://127.0.0.1:{port}")) as client:
            client.patch(DATA_PRODUCTS, KEY, {"metadata": {}}, resource_version="7")
        ((_, path, _),) = asked
    (manager,) = parse_qs(urlsplit(path).query)["fieldManager"]
    assert not manager.startswith("kubectl")


def test_a_compressed_response_is_decompressed():
    far = random.Random(1).randbytes(12_000).hex()  # comes again further back than a half window
    body = {"kind": "Zipped", "data": [far, far]}
    sent = gzip.compress(json.dumps(body).encode())
    with serving(ok(sent, **{"Content-Encoding": "gzip"})) as (port, _):
        assert read(Access(f"http://127.0.0.1:{port}")) == body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (failure(401, "Unauthorized"), Unauthorized), (failure(404, "NotFound"), NotFound),
        (failure(409, "Conflict"), Conflict), (ok(b"<html>"), Transient), (ok(b"[]"), KubeError),
    ],
)  # fmt: skip
def test_each_malformed_response_raises_its_error_type(answer, error):
    with serving(answer) as (port, _), pytest.raises(error):
        read(Access(f"http://127.0.0.1:{port}"))


def test_a_read_is_retried_after_a_closed_idle_connection_and_a_write_is_not():
    closed = (0, {}, b"")
    with serving(ok(), closed, ok(), closed) as (port, asked):
        with DirectClient(Access(f"http://127.0.0.1:{port}")) as client:
            client.send(READ)
            assert client.send(READ) == {"kind": "X"}
            with pytest.raises(Transient):
                client.patch(DATA_PRODUCTS, KEY, {}, resource_version=None)
        assert [method for method, *_ in asked] == ["GET", "GET", "GET", "PATCH"]


def test_a_watch_yields_each_change_and_raises_the_reason_for_its_end():
    changes = [("ADDED", {"kind": "X"}), ("MODIFIED", {"kind": "Y"})]
    lines = [json.dumps({"type": kind, "object": body}) for kind, body in changes]
    old = json.dumps({"type": "ERROR", "object": {"message": "too old"}})
    answers = (ok("\n".join(lines).encode()), failure(403, "Forbidden"), ok(old.encode()))
    with (
        serving(*answers) as (port, asked),
        DirectClient(Access(f"http://127.0.0.1:{port}")) as client,
    ):
        assert list(client.watch(DATA_PRODUCTS, name="pricing", seconds=7)) == changes
        with pytest.raises(Forbidden):
            list(client.watch(DATA_PRODUCTS))
        with pytest.raises(Gone, match="too old"):
            list(client.watch(DATA_PRODUCTS))
    assert asked[0][1].endswith(
        "?watch=true&timeoutSeconds=7&fieldSelector=metadata.name%3Dpricing"
    )
    assert asked[1][1].endswith("?watch=true&timeoutSeconds=300")


@pytest.mark.parametrize(("seconds", "asked"), [(0, 300), (0.2, 1), (90, 90), (1000, 300)])
def test_a_watch_has_the_requested_timeout_of_at_most_five_minutes(seconds, asked):
    with serving(ok(b"")) as (port, seen):
        with DirectClient(Access(f"http://127.0.0.1:{port}")) as client:
            assert list(client.watch(DATA_PRODUCTS, seconds=seconds, labels="a=b")) == []
        ((_, path, headers),) = seen
    assert parse_qs(urlsplit(path).query) == {
        "watch": ["true"], "timeoutSeconds": [str(asked)], "labelSelector": ["a=b"],
    }  # fmt: skip
    assert headers["Accept-Encoding"] is None


def test_a_list_is_read_page_by_page():
    pages = [{"items": [1, 2], "metadata": {"continue": "t"}}, {"items": [3]}, {"metadata": None}]
    answers = [ok(json.dumps(page).encode()) for page in pages]
    with (
        serving(*answers) as (port, seen),
        DirectClient(Access(f"http://127.0.0.1:{port}")) as client,
    ):
        assert list(client.items(DATA_PRODUCTS, namespace="a", labels="x=y")) == [1, 2, 3]
        assert list(client.items(DATA_PRODUCTS)) == []
    assert [parse_qs(urlsplit(path).query) for _, path, _ in seen] == [
        {"limit": ["250"], "labelSelector": ["x=y"]},
        {"limit": ["250"], "labelSelector": ["x=y"], "continue": ["t"]},
        {"limit": ["250"]},
    ]


def test_an_unreachable_server_and_a_timeout_raise_different_errors():
    with serving() as (port, _):
        pass
    with pytest.raises(Transient, match="can't be reached"):
        read(Access(f"http://127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOut):
        read(Access(f"http://127.0.0.1:{silent.getsockname()[1]}"), seconds=0.2)


def test_warnings_of_the_server_are_passed_to_the_caller():
    warned = []
    headers = {"Warning": '299 - "spec is reserved for \\"edit-spec\\""'}
    with serving(ok(**headers)) as (port, _):
        read(Access(f"http://127.0.0.1:{port}"), warn=warned.append)
    assert warned == ['spec is reserved for "edit-spec"']


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    certificate, key = self_signed("api.internal")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return certificate, context


def test_the_server_certificate_must_match_the_host_or_the_tls_server_name_of_the_kubeconfig(tls):
    certificate, context = tls
    with serving(ok(), ok(), context=context) as (port, _):
        access = Access(f"https://127.0.0.1:{port}", authority=certificate)
        with pytest.raises(Transient, match="CERTIFICATE_VERIFY"):
            read(access)
        assert read(replace(access, server_name="api.internal")) == {"kind": "X"}
        assert read(replace(access, authority="", verify=False)) == {"kind": "X"}


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ("https://api.example", ("api.example", 443)), ("https://[fd00::1]", ("fd00::1", 443)),
        ("https://[fd00::1]:6443", ("fd00::1", 6443)), ("http://api.example", ("api.example", 80)),
    ],
)  # fmt: skip
def test_the_default_port_follows_from_the_url_scheme(server, place):
    for name in ("", "inner"):
        connection = open_connection(Access(server, server_name=name))
        assert (connection.host, connection.port) == place


def test_a_request_is_tunnelled_through_an_http_proxy_and_other_proxies_are_refused(monkeypatch):
    for server, tunnel in (
        ("api.example:6443", "api.example:6443"),
        ("api.example", "api.example:443"),
    ):
        with serving((502, {}, b"")) as (port, asked):
            with pytest.raises(Transient, match="502"):
                read(Access(f"https://{server}", proxy=f"http://127.0.0.1:{port}"))
            assert [(method, path) for method, path, _ in asked] == [("CONNECT", tunnel)]
    with serving((502, {}, b"")) as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        for server in ("https://api.example:6443", "https://127.0.0.1:1"):
            with pytest.raises(Transient):
                read(Access(server))
        assert [path for _, path, _ in asked] == ["api.example:6443"]
    with pytest.raises(KubeError, match="only http:// proxies can"):
        read(Access("https://api.example", proxy="socks5://p:1"))
