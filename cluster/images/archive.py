"""Writes an OCI archive: a tar of oci-layout, index.json and the blobs.

The index names the image twice, by tag and by digest, so that a pod may ask for either
once the archive is imported; no registry is asked.
Format: https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from cluster.images.tarballs import EPOCH, add_bytes, add_file
from sluicegate_service import oci
from sluicegate_service.oci import Blob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster.images.description import ImageDescription
    from cluster.images.layers import Layer

NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Image:
    """The documents of one image; the layers stay on disk."""

    config: Blob
    manifest: Blob
    index: Blob


def compose(description: ImageDescription, layers: Sequence[Layer]) -> Image:
    """Return the config, manifest and index of `description` with `layers`, lowest first."""
    config, manifest = oci.compose(
        _config(description, layers),
        [oci.Layer(oci.LAYER_TYPE, one.digest, one.size, one.digest) for one in layers],
    )
    repository = description.reference.rpartition(":")[0]
    names = (description.reference, f"{repository}@{manifest.digest}")
    entries = [
        {**manifest.descriptor(oci.MANIFEST_TYPE), "annotations": {NAME: name}} for name in names
    ]
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
        "config": {
            "User": runtime.user,
            "Env": [f"{name}={value}" for name, value in sorted(runtime.env.items())],
            "Entrypoint": list(runtime.entrypoint),
            "Cmd": list(runtime.command),
            "WorkingDir": runtime.workdir,
            "ExposedPorts": {f"{port}/tcp": {} for port in runtime.ports},
        },
        "history": [{"created": created, "created_by": layer.made_by} for layer in layers],
    }
