"""From a description to an OCI archive on disk."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import builds
from cluster.cache import cache_folder, locked
from cluster.images import archive
from cluster.images.errors import ImageError
from cluster.images.layers import Layer, LayerStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.images.description import ImageDescription

DEFAULT_PYTHON = "3.11"


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An archive that containerd can import, and the names pods find it under then."""

    archive: Path
    reference: str
    digest: str

    @property
    def pinned_reference(self) -> str:
        """The same image by digest."""
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"


def build(
    description: ImageDescription,
    *,
    cache: Path | None = None,
    program: Callable[[str], Path] = builds.program,
) -> BuiltImage:
    """Build the image, or find it below `cache` (the cluster's cache folder, if not given).

    `program` gives the binary of a Go program by its name. Layers and archives are kept
    under the hash of what is in them; archives of an image's earlier states are removed,
    since its layers are kept.
    """
    cache = cache or cache_folder()
    with locked(f"image-{description.name}"):
        return _build(description, cache, program)


def _build(
    description: ImageDescription, cache: Path, program: Callable[[str], Path]
) -> BuiltImage:
    layers = _layers(description, LayerStore(cache / "layers"), program)
    image = archive.compose(description, layers)
    path = cache / "images" / f"{description.name}-{image.manifest.digest[7:19]}.tar"
    if not path.is_file():
        _write_archive(path, image, layers)
        _forget_older(path, description.name)
    return BuiltImage(path, description.reference, image.manifest.digest)


def _layers(
    description: ImageDescription, store: LayerStore, program: Callable[[str], Path]
) -> list[Layer]:
    layers = []
    if description.debian:
        layers.append(store.debian(description.debian))
    if description.python:
        layers.append(store.python(description.python))
    if description.program:
        binary = program(description.program.name)
        layers.append(store.program(binary, description.program.target))
    if description.code:
        python = description.python.version if description.python else DEFAULT_PYTHON
        layers.append(store.code(description.code, python))
    if not layers:
        raise ImageError(f"{description.name}.toml describes no content: add a table")
    return layers


def _write_archive(path: Path, image: archive.Image, layers: list[Layer]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            archive.write(image, layers, file)
        except BaseException:
            temporary.unlink()
            raise
    temporary.chmod(0o644)
    temporary.replace(path)


def _forget_older(newest: Path, name: str) -> None:
    others = [path for path in newest.parent.glob(f"{name}-{'?' * 12}.tar") if path != newest]
    others.sort(key=os.path.getmtime)
    for path in others[:-1]:  # the last one may be on its way into a cluster
        path.unlink(missing_ok=True)
