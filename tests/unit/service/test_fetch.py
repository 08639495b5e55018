"""The fetch container opens what is meant, and nothing else."""

from __future__ import annotations

import hashlib
import tarfile
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.fetch import FetchError, Source, fetch, main, refuse_local
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


def test_another_archive_under_the_name_is_refused_and_leaves_nothing(claim: Path, into: Path):
    with pytest.raises(FetchError, match=rf"has the sha256 [0-9a-f]{{64}}, not {SHA256}"):
        fetch(Source("pvc://models/bentos/pricing.bento", SHA256, claim), into)
    assert not list(into.iterdir())


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
def test_urls_that_are_not_meant_are_refused(url: str, message: str):
    with pytest.raises(FetchError, match=message):
        Source(url, SHA256)


@pytest.mark.parametrize("checksum", ["", "A" * 64, "a" * 63, "sha256:" + "a" * 57])
def test_a_checksum_that_is_none_is_refused(checksum: str):
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
    ],
)
def test_addresses_of_the_node_are_refused_whatever_name_led_there(address: str):
    with pytest.raises(FetchError, match=r"bad.example is"):
        refuse_local("bad.example", address)


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.4", "2001:db8::1"])
def test_other_addresses_are_not(address: str):
    refuse_local("good.example", address)


@pytest.mark.parametrize("path", ["../outside", "bentos/../../outside", "link"])
def test_nothing_out_of_the_claim_is_read(claim: Path, into: Path, tmp_path: Path, path: str):
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
