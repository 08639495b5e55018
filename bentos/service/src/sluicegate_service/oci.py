"""Documents of an OCI image: a config, a manifest, and blobs named by their digest.

This module writes all of them in this project: packed bentos, and the cluster tool's images. It
needs only the standard library. Format: https://github.com/opencontainers/image-spec
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
    """Return the name that a registry gives to `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class HashingWriter:
    """A writer that computes sha256 and size of a file."""

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
        """Digest of all written bytes, in the form of registries."""
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
        """Return the blob of `document`, with a deterministic text."""
        return cls(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())

    def descriptor(self, media_type: str) -> dict[str, Any]:
        """Return the descriptor by which other documents refer to it."""
        return descriptor(media_type, self.digest, len(self.data))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with its digest and size in bytes; `diff_id` is the digest of its unpacked tar."""

    media_type: str
    digest: str
    size: int
    diff_id: str


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """Return the descriptor of a blob of `size` bytes."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def compose(
    about: Mapping[str, Any],
    layers: Sequence[Layer],
    *,
    annotations: Mapping[str, str] | None = None,
) -> tuple[Blob, Blob]:
    """Return config and manifest of an image for this machine's architecture.

    Parameters
    ----------
    descriptor : fields of the config beside platform and layers. layers : the lowest first.
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
