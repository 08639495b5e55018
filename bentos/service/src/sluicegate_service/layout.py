"""A packed bento in a folder on disk, as an OCI image layout, without a registry.

It is written if a reference begins with `file://`: a training on one's own machine "pushes" there.
`skopeo copy oci:FOLDER:VERSION docker://…` copies it to a registry. Format:
https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from sluicegate_service.oci import MANIFEST_TYPE, descriptor, digest_of

if TYPE_CHECKING:
    from sluicegate_service.pack import PackedBento

SCHEME: Final = "file://"
NAME: Final = "org.opencontainers.image.ref.name"


def folder_of(reference: str) -> Path:
    """Return the folder of a file:// reference."""
    return Path(unquote(urlsplit(reference).path))


def digest_under(folder: Path, version: str) -> str | None:
    """Return the digest of a version in the layout; None if there is none."""
    for entry in _index(folder)["manifests"]:
        if entry.get("annotations", {}).get(NAME) == version:
            return str(entry["digest"])
    return None


def write(folder: Path, bento: PackedBento) -> None:
    """Add a bento under its version; an existing one with the same content is replaced."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n')
    shutil.copyfile(bento.layer, blobs / bento.layer_digest.partition(":")[2])
    for data in (bento.config, bento.manifest):
        (blobs / digest_of(data).partition(":")[2]).write_bytes(data)
    index = _index(folder)
    entry = {
        **descriptor(MANIFEST_TYPE, bento.digest, len(bento.manifest)),
        "annotations": {NAME: bento.version},
    }
    if entry not in index["manifests"]:
        index["manifests"].append(entry)
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "index.json"
    if not path.is_file():
        return {"schemaVersion": 2, "manifests": []}
    index: dict[str, Any] = json.loads(path.read_text())
    return index
