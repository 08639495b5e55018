"""Writes an OCI archive: a tar of oci-layout, index.json and the blobs.

The index names the image twice, by tag and by digest, so that a pod may ask for either
once the archive is imported; no registry is asked.
Format: https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import hashlib
import json
import platform
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from cluster.images.tarballs import EPOCH, add_bytes, add_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.images.description import ImageDescription
    from cluster.images.layers import Layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME = "io.containerd.image.name"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Blob:
    """A JSON document as a registry stores it."""

    data: bytes

    @property
    def digest(self) -> str:
        """The name of the blob."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    @classmethod
    def of(cls, document: dict[str, Any]) -> Blob:
        """The blob of `document`, always written the same way."""
        return cls(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """How another document refers to it."""
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Image:
    """The documents of one image; the layers stay on disk."""

    config: Blob
    manifest: Blob
    index: Blob


def compose(description: ImageDescription, layers: Sequence[Layer]) -> Image:
    """The config, manifest and index of `description` with `layers`, lowest first."""
    config = Blob.of(_config(description, layers))
    manifest = Blob.of(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(CONFIG),
            "layers": [
                {"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers
            ],
        }
    )
    repository = description.reference.rpartition(":")[0]
    names = (description.reference, f"{repository}@{manifest.digest}")
    entries = [{**manifest.descriptor(MANIFEST), "annotations": {NAME: name}} for name in names]
    return Image(config, manifest, Blob.of({"schemaVersion": 2, "manifests": entries}))


def write(image: Image, layers: Sequence[Layer], sink: IO[bytes]) -> None:
    """Write the archive of `image` to `sink`."""
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        add_bytes(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add_bytes(tar, "index.json", image.index.data)
        for blob in (image.manifest, image.config):
            add_bytes(tar, _path(blob.digest), blob.data)
        for layer in {layer.digest: layer for layer in layers}.values():
            add_file(tar, _path(layer.digest), layer.path)


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _config(description: ImageDescription, layers: Sequence[Layer]) -> dict[str, Any]:
    runtime, created = description.runtime, datetime.fromtimestamp(EPOCH, UTC).isoformat()
    return {
        "created": created,
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "User": runtime.user,
            "Env": [f"{name}={value}" for name, value in sorted(runtime.env.items())],
            "Entrypoint": list(runtime.entrypoint),
            "Cmd": list(runtime.command),
            "WorkingDir": runtime.workdir,
            "ExposedPorts": {f"{port}/tcp": {} for port in runtime.ports},
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        "history": [{"created": created, "created_by": layer.made_by} for layer in layers],
    }
