"""What cosign, and the image verifier of gitops/signatures with it, says of bentos that `pack` pushes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from sluicegate_service.oci import MANIFEST_TYPE
from sluicegate_service.push import pack_and_push
from tests.support.samples.bentos import write_bento
from tests.support.samples.signing import new_key

if TYPE_CHECKING:
    from collections.abc import Mapping

VERIFIER = Path(__file__).resolve().parents[2] / "gitops" / "signatures" / "verify-bento"
PLAIN_HTTP = ("--allow-insecure-registry", "--allow-http-registry")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """The platform's private key and its public key."""
    return new_key(tmp_path / "keys")


def pushed(registry: str, name: str, folder: Path, key: Path | None = None) -> str:
    """A new bento in the registry, by digest; signed by a key."""
    bento = write_bento(folder / name, version=name)
    sign_key = None if key is None else str(key)
    return pack_and_push(bento, f"{registry}/bentos/{name}", plain_http=True, sign_key=sign_key)


def verified(cosign: Path, image: str, key: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [cosign, "verify", "--key", key, "--insecure-ignore-tlog=true", *PLAIN_HTTP, image],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


def admitted(
    cosign: Path, image: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What the verifier answers to containerd about an image by digest."""
    repository, _, digest = image.partition("@")
    path = f"{cosign.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [VERIFIER, "-name", f"{repository}@{digest}", "-digest", digest,
         "-stdin-media-type", "application/vnd.oci.descriptor.v1+json"],
        check=False, capture_output=True, text=True, input="{}",
        env={"PATH": path, "HOME": os.environ["HOME"], "OPTIONS": " ".join(PLAIN_HTTP), **environment},
    )  # fmt: skip


def test_cosign_verifies_a_signed_bento_with_the_key_of_its_signer_alone(
    cosign, registry, keys, tmp_path
):
    private, public = keys
    image = pushed(registry, "signed", tmp_path, private)
    _, other = new_key(tmp_path / "other")
    done = verified(cosign, image, public)
    assert done.returncode == 0, done.stderr
    assert image.partition("@")[2] in done.stdout
    assert verified(cosign, image, other).returncode != 0
    assert verified(cosign, pushed(registry, "unsigned", tmp_path), public).returncode != 0


def test_a_signature_of_one_bento_is_none_of_another(cosign, registry, keys, tmp_path):
    private, public = keys
    signed = pushed(registry, "one", tmp_path, private).partition("@")[2]
    other = pushed(registry, "two", tmp_path)
    tag = f"{other.partition('@')[2].replace(':', '-')}.sig"
    copy_manifest(registry, ("bentos/one", f"{signed.replace(':', '-')}.sig"), ("bentos/two", tag))
    assert signed != other.partition("@")[2]
    assert verified(cosign, other, public).returncode != 0


def test_the_image_verifier_of_a_node_refuses_bentos_without_the_platforms_signature(
    cosign, registry, keys, tmp_path
):
    private, public = keys
    environment = {"BENTOS": f"{registry}/bentos/", "KEY": str(public)}
    signed = pushed(registry, "a", tmp_path, private)
    unsigned = pushed(registry, "b", tmp_path)
    assert admitted(cosign, signed, environment).returncode == 0
    refused = admitted(cosign, unsigned, environment)
    assert refused.returncode == 1
    assert "has no signature of" in refused.stdout
    elsewhere = environment | {"BENTOS": "registry.example/bentos/"}
    assert admitted(cosign, unsigned, elsewhere).returncode == 0


def copy_manifest(registry: str, source: tuple[str, str], target: tuple[str, str]) -> None:
    """Put a manifest and its blobs under another repository and tag, as a thief would."""
    accept = {"Accept": MANIFEST_TYPE}
    manifest = requests.get(
        f"http://{registry}/v2/{source[0]}/manifests/{source[1]}", headers=accept, timeout=10
    )
    document = manifest.json()
    for blob in (document["config"], *document["layers"]):
        query = f"mount={blob['digest']}&from={source[0]}"
        answer = requests.post(
            f"http://{registry}/v2/{target[0]}/blobs/uploads/?{query}", timeout=10
        )
        assert answer.status_code == 201, answer.text
    answer = requests.put(
        f"http://{registry}/v2/{target[0]}/manifests/{target[1]}",
        headers={"Content-Type": MANIFEST_TYPE}, data=manifest.content, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
