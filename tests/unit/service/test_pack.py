"""A packed bento is an ordinary image, and the same one each time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.pack import packed
from sluicegate_service.push import PLAIN_HTTP_ENV, PushError, Target, pack_and_push
from tests.support.samples.bentos import write_bento

if TYPE_CHECKING:
    from pathlib import Path


def test_a_packed_bento_uses_only_standard_oci_media_types(tmp_path: Path):
    with packed(write_bento(tmp_path / "b")) as bento:
        manifest = json.loads(bento.manifest)

    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"


def test_a_packed_bento_has_digests_and_sizes_of_its_content(tmp_path: Path):
    with packed(write_bento(tmp_path / "b")) as bento:
        manifest, data = json.loads(bento.manifest), bento.layer.read_bytes()
        config = json.loads(bento.config)

    assert manifest["layers"][0]["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert manifest["layers"][0]["size"] == len(data)
    plain = hashlib.sha256(gzip.decompress(data)).hexdigest()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{plain}"]
    assert manifest["annotations"]["org.opencontainers.image.version"] == "v1"


def test_the_layer_of_a_packed_bento_is_readable_by_every_user(tmp_path: Path):
    folder = write_bento(tmp_path / "b")
    (folder / "models" / "price").chmod(0o700)
    (folder / "bento.yaml").chmod(0o600)
    with packed(folder) as bento, tarfile.open(fileobj=io.BytesIO(bento.layer.read_bytes())) as tar:
        members = {member.name: member for member in tar}

    assert {"bento.yaml", "models/price/v1/model.yaml", "src/service.py"} <= set(members)
    assert all(member.mode == (0o755 if member.isdir() else 0o644) for member in members.values())
    assert {(member.uid, member.mtime) for member in members.values()} == {(0, 0)}


def test_packing_a_copied_bento_gives_the_same_digest(tmp_path: Path):
    one, two = write_bento(tmp_path / "one"), write_bento(tmp_path / "two")
    (two / "src" / "__pycache__").mkdir()
    (two / "src" / "__pycache__" / "service.pyc").write_bytes(b"compiled")
    file = tmp_path / "x.bento"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(one, arcname="")
    digests = set()
    for source in (one, two, file):
        with packed(source) as bento:
            digests.add(bento.digest)

    assert len(digests) == 1


def test_a_link_in_a_bento_is_refused(tmp_path: Path):
    folder = write_bento(tmp_path / "b")
    (folder / "src" / "data").symlink_to("/etc")

    with pytest.raises(BentoInvalid, match="is a symbolic link"), packed(folder):
        pass


def test_pack_names_a_missing_path(tmp_path: Path):
    with (
        pytest.raises(BentoInvalid, match=f"{tmp_path}/none doesn't exist"),
        packed(tmp_path / "none"),
    ):
        pass


@pytest.mark.parametrize(
    ("reference", "repository", "tag"),
    [
        ("registry.example/bentos/pricing", "registry.example/bentos/pricing", None),
        ("registry.example/bentos/pricing:next", "registry.example/bentos/pricing", "next"),
        ("localhost:5000/pricing", "localhost:5000/pricing", None),
    ],
)
def test_an_image_reference_has_a_repository_and_an_optional_tag(
    reference: str, repository: str, tag: str | None
):
    target = Target.parse(reference, plain_http=False)

    assert (target.repository, target.tag) == (repository, tag)


@pytest.mark.parametrize(
    "reference", ["pricing", "bentos/pricing", "registry.example/", "h.x/a@sha256:1"]
)
def test_an_image_reference_without_a_registry_is_refused(reference: str):
    with pytest.raises(PushError, match="doesn't say where to push: give HOST/PATH"):
        Target.parse(reference)


def test_plain_http_is_used_only_for_listed_registries(monkeypatch):
    monkeypatch.setenv(PLAIN_HTTP_ENV, "10.0.0.2:30500,other:5000")

    assert Target.parse("10.0.0.2:30500/x").plain_http
    assert not Target.parse("registry.example/x").plain_http


def test_an_unreachable_registry_is_named_with_the_reference(tmp_path: Path):
    folder = write_bento(tmp_path / "b")

    with pytest.raises(
        PushError, match=r"127.0.0.1:1/x: the registry 127.0.0.1:1 can't be reached"
    ):
        pack_and_push(folder, "127.0.0.1:1/x", plain_http=True)


def test_an_invalid_repository_path_is_refused():
    with pytest.raises(PushError, match="has capital letters in its path: registries know shop/x"):
        Target.parse("registry.example/Shop/x")
