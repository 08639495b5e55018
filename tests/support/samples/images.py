"""A small runtime image for tests, and the stored images of a registry."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import requests

from sluicegate_service.oci import LAYER_TYPE, MANIFEST_TYPE, Layer, compose, digest_of

if TYPE_CHECKING:
    from pathlib import Path

BASE = {"config": {"Env": ["PATH=/bin", "PYTHONPATH=/opt/sluicegate:/opt/python"], "User": "1034"}}


def archive_of_a_base(path: Path) -> bytes:
    """Return an OCI archive of a runtime image that holds one file; that layer's bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("etc/base"))
    layer = content.getvalue()
    config, manifest = compose(
        BASE, [Layer(LAYER_TYPE, digest_of(layer), len(layer), digest_of(layer))]
    )
    index = {"schemaVersion": 2, "manifests": [manifest.descriptor(MANIFEST_TYPE)]}
    blobs = {"index.json": json.dumps(index).encode()} | {
        f"blobs/{digest_of(data).replace(':', '/')}": data
        for data in (layer, config.data, manifest.data)
    }
    with tarfile.open(path, "w") as tar:
        for name, data in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return layer


def blob(registry: str, repository: str, kind: str, reference: str) -> bytes:
    answer = requests.get(
        f"http://{registry}/v2/{repository}/{kind}/{reference}",
        headers={"Accept": MANIFEST_TYPE},
        timeout=10,
    )
    answer.raise_for_status()
    return answer.content


def read(registry: str, repository: str, kind: str, reference: str) -> dict:
    return json.loads(blob(registry, repository, kind, reference))
