"""A bento as an ordinary one-layer OCI image, so that a node can mount it as a volume.

Nothing in the image is executable: so a cluster's registry, pull secrets and image cache can be
used for models, and a version is a digest. Only the standard media types are used, because others
are mounted empty. The same bento has the same digest on every machine. Format:
https://github.com/opencontainers/image-spec
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from sluicegate_service.bentos import Bento, BentoInvalid, extract, read_bento, require_models
from sluicegate_service.oci import COMPRESSED_LAYER_TYPE, HashingWriter, Layer, compose, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class PackedBento:
    """The three blobs of the image; the layer is on disk, in the caller's scratch folder."""

    name: str
    version: str
    layer: Path
    layer_digest: str
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """The image's digest, which permanently identifies this version."""
        return digest_of(self.manifest)


@contextlib.contextmanager
def packed(source: Path) -> Iterator[PackedBento]:
    """Pack the bento at `source` (a folder or a .bento archive) into a scratch folder.

    Raises BentoInvalid if it isn't one, or lacks models that it names.
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


def _pack(bento: Bento, path: Path) -> PackedBento:
    annotations = _annotations(bento)
    layer = write_layer(bento.folder, path)
    config, manifest = compose(
        {"config": {"Labels": annotations}}, [layer], annotations=annotations
    )
    return PackedBento(bento.name, bento.version, path, layer.digest, config.data, manifest.data)


def _annotations(bento: Bento) -> dict[str, str]:
    annotations = {
        "org.opencontainers.image.title": bento.name,
        "org.opencontainers.image.version": bento.version,
    }
    if bento.created:
        annotations["org.opencontainers.image.created"] = bento.created
    return annotations


def write_layer(folder: Path, path: Path, *, compiled: bool = False) -> Layer:
    """Write the folder's files as a compressed layer; bytecode only if `compiled`."""
    with path.open("wb") as file:
        compressed = HashingWriter(file)
        # gzip's header has no name and no time: both would change the digest.
        with gzip.GzipFile("", "wb", 6, cast("IO[bytes]", compressed), mtime=0) as stream:
            plain = HashingWriter(cast("IO[bytes]", stream))
            with tarfile.open(
                fileobj=cast("IO[bytes]", plain), mode="w|", format=tarfile.PAX_FORMAT
            ) as tar:
                _add_tree(tar, folder, compiled=compiled)
        return Layer(COMPRESSED_LAYER_TYPE, compressed.digest, compressed.size, plain.digest)


def _add_tree(tar: tarfile.TarFile, folder: Path, *, compiled: bool) -> None:
    """Add all files below `folder`, in order of name, readable by any user, without owner or time."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "__pycache__" in path.parts and not compiled:
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
