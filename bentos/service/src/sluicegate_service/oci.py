"""The documents of an OCI image: a config, a manifest, and blobs that are named by their digest.

The one writer of them in this project: bentos are packed with it, and the cluster tool's images
are written with it. It needs the standard library alone.
Format: https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
COMPRESSED_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest_of(data: bytes) -> str:
    """The name that a registry gives to `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class HashingWriter:
    """Passes bytes on to a file and knows their sha256 and number."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of `data`."""
        self._sink.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> str:
        """The digest of all that was written, as registries spell it."""
        return f"sha256:{self._hash.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Blob:
    """A JSON document as a registry stores it."""

    data: bytes

    @property
    def digest(self) -> str:
        """The name of the blob."""
        return digest_of(self.data)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Blob:
        """The blob of `document`, always written the same way."""
        return cls(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """How another document refers to it."""
        return descriptor(media_type, self.digest, len(self.data))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer by its digest and size in bytes; `diff_id` is the digest of what it unpacks to."""

    media_type: str
    digest: str
    size: int
    diff_id: str


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """How a document refers to a blob of `size` bytes."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def compose(
    about: Mapping[str, Any],
    layers: Sequence[Layer],
    *,
    annotations: Mapping[str, str] | None = None,
) -> tuple[Blob, Blob]:
    """The config and the manifest of an image for this machine's architecture.

    Parameters
    ----------
    about : fields of the config beside platform and layers. layers : the lowest first.
    """
    config = Blob.of(
        {
            **about,
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(CONFIG_TYPE),
        "layers": [descriptor(layer.media_type, layer.digest, layer.size) for layer in layers],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return config, Blob.of(manifest)
