"""The fetch container opens what is meant, and nothing else."""

from __future__ import annotations

import hashlib
import socket
import tarfile
from email.message import Message
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.fetch import FetchError, Source, fetch, main
from sluicegate_service.guarded_https import AddressRefused, connect, redirected, refuse_local
from tests.support.samples.bentos import write_bento

if TYPE_CHECKING:
    from pathlib import Path

SHA256 = "a" * 64


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    folder = tmp_path / "claim"
    (folder / "bentos").mkdir(parents=True)
    with tarfile.open(folder / "bentos" / "pricing.bento", "w:xz") as tar:
        tar.add(write_bento(tmp_path / "b"), arcname="")
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_a_bento_on_a_claim_is_unpacked(claim: Path, into: Path):
    source = Source(
        "pvc://models/bentos/pricing.bento", sha256(claim / "bentos" / "pricing.bento"), claim
    )
    fetch(source, into)

    assert sorted(path.name for path in into.iterdir()) == ["bento.yaml", "env", "models", "src"]


def test_an_archive_with_another_checksum_is_refused_and_removed(claim: Path, into: Path):
    with pytest.raises(FetchError, match=f"hasn't the sha256 {SHA256}:") as refused:
        fetch(Source("pvc://models/bentos/pricing.bento", SHA256, claim), into)
    assert not list(into.iterdir())
    other = sha256(claim / "bentos" / "pricing.bento")
    assert other not in str(refused.value), "it would show what an internal server answers"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/b", "'http' is refused: use https, s3, gs, pvc"),
        ("file:///etc/passwd", "'file' is refused"),
        ("zip://b::https://example.org/b.zip", "a chained URL is refused"),
        ("https://example.org/b c", "a chained URL is refused"),
        ("https://127.0.0.1/b", "an address of the node itself"),
        ("https://169.254.169.254/latest/meta-data", "an address of the node itself"),
        ("https://[::1]/b", "an address of the node itself"),
        ("b.bento", "'' is refused"),
    ],
)
def test_a_bento_url_with_another_scheme_or_form_is_refused(url: str, message: str):
    with pytest.raises(FetchError, match=message):
        Source(url, SHA256)


@pytest.mark.parametrize("checksum", ["", "A" * 64, "a" * 63, "sha256:" + "a" * 57])
def test_a_malformed_checksum_is_refused(checksum: str):
    with pytest.raises(FetchError, match="is not 64 lower-case hex digits"):
        Source("https://example.org/b", checksum)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1%eth0",
        "0.0.0.0",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::127.0.0.1",
        "224.0.0.1",
    ],
)
def test_a_host_name_that_resolves_to_an_address_of_the_node_is_refused(address: str):
    with pytest.raises(AddressRefused, match=r"bad.example is"):
        refuse_local("bad.example", address)


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.4", "2001:db8::1"])
def test_an_address_outside_the_node_is_accepted(address: str):
    refuse_local("good.example", address)


SPELLINGS = (
    "127.0.0.1", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "017700000001", "localhost", "①②⑦.⓪.⓪.①", "[::1]", "[::ffff:127.0.0.1]",
)  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
def test_an_address_of_the_node_is_refused_in_any_notation(claim: Path, into: Path, host: str):
    """What counts is the address that is connected to, however a library reads the text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        with pytest.raises(FetchError, match="an address of the node itself: refused"):
            fetch(Source(f"https://{host}:{port}/", SHA256), into)
        with pytest.raises(AddressRefused):
            connect(host.strip("[]"), port)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({"Location": "/b"}, "https://example.org/b"),
        ({"Location": "//other.example/b"}, "https://other.example/b"),
        ({"Location": "https://other.example/b"}, "https://other.example/b"),
        ({"Location": "http://127.0.0.1/b"}, None),
        ({"Location": "file:///etc/passwd"}, None),
        ({"URI": "http://127.0.0.1/b"}, None),
        ({"Refresh": "0; url=http://127.0.0.1/b"}, None),
        ({}, None),
    ],
)
def test_a_redirect_is_followed_to_https_only_and_has_a_single_location_header(headers, target):
    message = Message()
    for name, value in headers.items():
        message[name] = value
    if target is None:
        with pytest.raises(AddressRefused, match="only https is followed"):
            redirected("https://example.org/a", message)
    else:
        assert redirected("https://example.org/a", message) == target


@pytest.mark.parametrize("path", ["../outside", "bentos/../../outside", "link"])
def test_a_path_outside_the_claim_is_not_read(claim: Path, into: Path, tmp_path: Path, path: str):
    (tmp_path / "outside").write_text("x")
    (claim / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(FetchError, match="leads out of the claim"):
        fetch(Source(f"pvc://models/{path}", SHA256, claim), into)


def test_a_fetch_error_becomes_the_termination_message(
    claim: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(tmp_path / "message"))
    code = main(["pvc://models/none.bento", SHA256, str(tmp_path), f"--claim={claim}"])

    assert code == 1
    said = "pvc://models/none.bento: there is no file none.bento on the claim models"
    assert (tmp_path / "message").read_text() == f"FetchFailed: {said}"
    assert capsys.readouterr().err.strip() == said
