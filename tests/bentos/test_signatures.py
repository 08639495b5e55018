"""Signatures of pushed bentos; OpenSSL and, in `make signatures`, cosign verify them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests

from sluicegate.__main__ import main
from sluicegate_service.oci import MANIFEST_TYPE
from sluicegate_service.push import PushError, pack_and_push
from sluicegate_service.signatures import (
    KEY_ENV,
    PASSWORD_ENV,
    SIGNATURE_ANNOTATION,
    SigningError,
    signing_key,
)
from tests.support.samples.bentos import write_bento
from tests.support.samples.signing import new_key

if TYPE_CHECKING:
    from pathlib import Path


def signature_of(image: str) -> tuple[bytes, bytes]:
    """Return the statement beside an image, and its signature."""
    repository, _, digest = image.partition("@")
    host, _, path = repository.partition("/")
    tag = f"{digest.replace(':', '-')}.sig"
    manifest = requests.get(
        f"http://{host}/v2/{path}/manifests/{tag}", headers={"Accept": MANIFEST_TYPE}, timeout=10
    )
    manifest.raise_for_status()
    (layer,) = manifest.json()["layers"]
    payload = requests.get(f"http://{host}/v2/{path}/blobs/{layer['digest']}", timeout=10).content
    return payload, base64.b64decode(layer["annotations"][SIGNATURE_ANNOTATION])


def is_valid(payload: bytes, signature: bytes, key: Path, folder: Path) -> bool:
    """Return whether OpenSSL verifies the signature with the public key."""
    (folder / "payload").write_bytes(payload)
    (folder / "signature").write_bytes(signature)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", key, "-signature", folder / "signature",
         folder / "payload"],
        check=False, capture_output=True,
    )  # fmt: skip
    return done.returncode == 0


def test_a_signing_key_without_the_package_cryptography_names_the_installation(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ec", None)
    with pytest.raises(SigningError, match="pip install cryptography"):
        signing_key(str(tmp_path / "bentos.key"))


def test_pack_signs_the_digest_and_the_repository_of_a_bento(
    registry: str, tmp_path: Path, capsys, monkeypatch
):
    private, public = new_key(tmp_path / "keys")
    monkeypatch.delenv(KEY_ENV, raising=False)
    command = ["pack", str(write_bento(tmp_path / "b")), f"{registry}/signed/pricing", "--quiet"]
    options = ["--plain-http", "--unchecked", "--sign-key", str(private)]

    assert main([*command, *options]) == 0

    image = capsys.readouterr().out.strip()
    payload, signature = signature_of(image)
    critical = json.loads(payload)["critical"]
    assert critical["image"]["docker-manifest-digest"] == image.partition("@")[2]
    assert critical["identity"]["docker-reference"] == f"{registry}/signed/pricing"
    assert is_valid(payload, signature, public, tmp_path)
    _, other = new_key(tmp_path / "other")
    assert not is_valid(payload, signature, other, tmp_path)


def test_a_training_signs_with_the_key_of_its_environment(
    registry: str, tmp_path: Path, monkeypatch
):
    private, public = new_key(tmp_path / "keys", password="correct")
    monkeypatch.setenv(KEY_ENV, str(private))
    monkeypatch.setenv(PASSWORD_ENV, "correct")
    image = pack_and_push(
        write_bento(tmp_path / "b"), f"{registry}/signed/trained", plain_http=True
    )
    assert is_valid(*signature_of(image), public, tmp_path)
    again = pack_and_push(tmp_path / "b", f"{registry}/signed/trained", plain_http=True)
    assert again == image


def test_a_bento_is_not_pushed_without_the_requested_signature(
    registry: str, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv(KEY_ENV, str(tmp_path / "none.pem"))
    reference = f"{registry}/signed/refused"
    with pytest.raises(PushError, match=r"none\.pem can't be read: No such file"):
        pack_and_push(write_bento(tmp_path / "b"), reference, plain_http=True)
    monkeypatch.delenv(KEY_ENV)
    assert (
        requests.get(f"http://{registry}/v2/signed/refused/tags/list", timeout=10).status_code
        == 404
    )


@pytest.mark.parametrize("given", ["", "wrong"])
def test_a_key_without_its_password_is_refused(given: str, tmp_path: Path, monkeypatch):
    private, _ = new_key(tmp_path, password="correct")
    monkeypatch.setenv(PASSWORD_ENV, given)
    with pytest.raises(SigningError, match="or give the password"):
        signing_key(str(private))


def test_a_key_on_another_curve_is_refused(tmp_path: Path):
    private, _ = new_key(tmp_path, curve="P-384")
    with pytest.raises(SigningError, match="not on the curve P-256"):
        signing_key(str(private))
