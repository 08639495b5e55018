"""A base image, to which a layer is added: in a registry, or in an OCI archive."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from sluicegate_service.oci import (
    COMPRESSED_LAYER_TYPE,
    MANIFEST_TYPE,
    Blob,
    Layer,
)
from sluicegate_service.registry import PushError, RegistryClient, Target

if TYPE_CHECKING:
    from pathlib import Path

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ACCEPTED: Final = f"{INDEX_TYPE}, {MANIFEST_TYPE}, {DOCKER_LIST}, {DOCKER_MANIFEST}"


class Source(Protocol):
    """Source of an image's documents and layers."""

    repository: str
    """Path in its registry, for mounting layers; empty if it isn't in a registry."""
    host: str

    def document(self, digest: str) -> bytes:
        """Return a manifest or index; the first one for an empty digest."""

    def blob(self, digest: str, path: Path) -> None:
        """Write a blob to a file."""


class RegistrySource:
    """An image in a registry, as HOST/PATH:TAG or HOST/PATH@sha256:…."""

    def __init__(self, reference: str, *, plain_http: bool | None, auth: Path | None) -> None:
        name, _, digest = reference.partition("@")
        target = Target.parse(name, plain_http=plain_http)
        self._first = digest or target.tag or "latest"
        self._client = RegistryClient(target, auth)
        self.host = target.host
        self.repository = target.repository.partition("/")[2]

    def document(self, digest: str) -> bytes:
        """Return a manifest or index; see Source."""
        return self._client.read_manifest(digest or self._first, ACCEPTED)[1]

    def blob(self, digest: str, path: Path) -> None:
        """Write a blob to a file; see Source."""
        self._client.read_blob(digest, path)


class ArchiveSource:
    """An image in an OCI archive on disk, such as one of `docker buildx build --output type=oci`."""

    host = repository = ""

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def document(self, digest: str) -> bytes:
        """Return a manifest or index; see Source."""
        return self._member(f"blobs/{digest.replace(':', '/')}" if digest else "index.json")

    def blob(self, digest: str, path: Path) -> None:
        """Write a blob to a file; see Source."""
        path.write_bytes(self._member(f"blobs/{digest.replace(':', '/')}"))

    def _member(self, name: str) -> bytes:
        try:
            with tarfile.open(self._archive) as tar:
                content = tar.extractfile(name)
                assert content is not None
                return content.read()
        except (OSError, KeyError, tarfile.TarError) as error:
            raise PushError(
                f"{self._archive} is no OCI archive ({error}): give one with an index.json, or the"
                " image's reference"
            ) from error


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image with its documents."""

    source: Source
    manifest: dict[str, Any]
    config: dict[str, Any]

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Descriptors of its layers, the lowest first."""
        return list(self.manifest["layers"])

    def extended(self, layer: Layer, env: dict[str, str], made_by: str) -> tuple[Blob, Blob, str]:
        """Return config, manifest and its media type for the image with one more layer.

        `env` replaces variables of its configuration.
        """
        docker = self.manifest.get("mediaType") == DOCKER_MANIFEST
        container_config = dict(self.config.get("config") or {})
        variables = dict(line.partition("=")[::2] for line in container_config.get("Env") or ())
        container_config["Env"] = [f"{name}={value}" for name, value in (variables | env).items()]
        rootfs = self.config["rootfs"]
        config = Blob.of(
            {
                **self.config,
                "config": container_config,
                "rootfs": {**rootfs, "diff_ids": [*rootfs["diff_ids"], layer.diff_id]},
                "history": [*(self.config.get("history") or ()), {"created_by": made_by}],
            }
        )
        added = {
            "mediaType": DOCKER_LAYER if docker else COMPRESSED_LAYER_TYPE,
            "digest": layer.digest,
            "size": layer.size,
        }
        manifest = Blob.of(
            {
                **self.manifest,
                "config": config.descriptor(self.manifest["config"]["mediaType"]),
                "layers": [*self.layers, added],
            }
        )
        return config, manifest, DOCKER_MANIFEST if docker else MANIFEST_TYPE

    def variable(self, name: str) -> str:
        """Return a variable of its configuration; empty if it isn't set."""
        env = (self.config.get("config") or {}).get("Env") or ()
        return next(
            (variable.partition("=")[2] for variable in env if variable.startswith(f"{name}=")), ""
        )


def read_base(source: Source, architecture: str, scratch: Path) -> BaseImage:
    """Read the image for linux on an architecture (amd64, arm64). Raises PushError."""
    document: dict[str, Any] = json.loads(source.document(""))
    while "manifests" in document:
        document = json.loads(source.document(_manifest_entry(document, architecture)))
    path = scratch / "config.json"
    source.blob(document["config"]["digest"], path)
    config: dict[str, Any] = json.loads(path.read_bytes())
    if (actual := config.get("architecture")) != architecture:
        raise PushError(f"the base image is for {actual}, not {architecture}: set --architecture")
    return BaseImage(source, document, config)


def _manifest_entry(index: dict[str, Any], architecture: str) -> str:
    entries = index["manifests"]
    for entry in entries:
        platform = entry.get("platform") or {}
        if platform.get("architecture") == architecture and platform.get("os") == "linux":
            return str(entry["digest"])
    if len({entry["digest"] for entry in entries}) == 1:
        return str(entries[0]["digest"])
    raise PushError(f"the base image has nothing for linux/{architecture}: choose another base")
