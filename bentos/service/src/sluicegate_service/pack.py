"""A bento as an ordinary one-layer OCI image, so that a node can mount it as a volume.

Nothing in the image can run: a cluster's registry, pull secrets and image cache then serve
for models too, and a version is a digest. Only the standard media types are used, because
others are mounted empty. The same bento gives the same digest on every machine.
Format: https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import platform
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from sluicegate_service.bentos import Bento, BentoInvalid, extract, read_bento, require_models

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackedBento:
    """The three blobs of the image; the layer stays on disk, in the caller's scratch folder."""

    name: str
    version: str
    layer: Path
    layer_digest: str
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The image's digest, which names this version for ever."""
        return digest_of(self.manifest)


def digest_of(data: bytes) -> str:
    """The name that a registry gives to `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@contextlib.contextmanager
def packed(source: Path) -> Iterator[PackedBento]:
    """Pack the bento at `source` (a folder or a .bento archive) into a scratch folder.

    Raises BentoInvalid when it isn't one, or doesn't hold the models that it names.
    """
    with tempfile.TemporaryDirectory(prefix="sluicegate-pack-") as scratch:
        folder = source
        if source.is_file():
            folder = Path(scratch) / "bento"
            extract(source, folder)
        elif not source.is_dir():
            raise BentoInvalid(f"{source} doesn't exist: give a bento's folder or .bento file")
        bento = read_bento(folder)
        require_models(bento)
        yield _pack(bento, Path(scratch) / "layer.tar.gz")


def _pack(bento: Bento, layer: Path) -> PackedBento:
    diff_id, layer_digest = _write_layer(bento.folder, layer)
    config = _json(_config(bento, diff_id))
    descriptor = {"mediaType": LAYER_TYPE, "digest": layer_digest, "size": layer.stat().st_size}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
        "layers": [descriptor],
        "annotations": _annotations(bento),
    }
    return PackedBento(bento.name, bento.version, layer, layer_digest, config, _json(manifest))


def _annotations(bento: Bento) -> dict[str, str]:
    annotations = {
        "org.opencontainers.image.title": bento.name,
        "org.opencontainers.image.version": bento.version,
    }
    if bento.created:
        annotations["org.opencontainers.image.created"] = bento.created
    return annotations


def _config(bento: Bento, diff_id: str) -> dict[str, Any]:
    return {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Labels": _annotations(bento)},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class _Tee:
    """Passes what is written on to `sink`, and knows its sha256."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self._sink.write(data)
        return len(data)


def _write_layer(folder: Path, layer: Path) -> tuple[str, str]:
    """Write the folder's files as a layer; return (digest uncompressed, digest compressed)."""
    with layer.open("wb") as file:
        compressed = _Tee(file)
        # Neither a name nor a time in gzip's header: both would change the digest.
        with gzip.GzipFile("", "wb", 6, cast("IO[bytes]", compressed), mtime=0) as stream:
            plain = _Tee(cast("IO[bytes]", stream))
            with tarfile.open(
                fileobj=cast("IO[bytes]", plain), mode="w|", format=tarfile.PAX_FORMAT
            ) as tar:
                _add_tree(tar, folder)
        return f"sha256:{plain.sha256.hexdigest()}", f"sha256:{compressed.sha256.hexdigest()}"


def _add_tree(tar: tarfile.TarFile, folder: Path) -> None:
    """Add all below `folder`, in order of name, readable by any user, without owner or time."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts:
            continue
        if path.is_symlink():
            raise BentoInvalid(f"{path} is a symbolic link: a bento must hold its files itself")
        entry = tarfile.TarInfo(name)
        if path.is_dir():
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        else:
            entry.mode, entry.size = 0o644, path.stat().st_size
            with path.open("rb") as stream:
                tar.addfile(entry, stream)
