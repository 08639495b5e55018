"""Pushes an image that was built here to a registry."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.images.errors import ImageError
from sluicegate_service.base_image import ArchiveSource
from sluicegate_service.oci import digest_of
from sluicegate_service.registry import PushError, RegistryClient, Target

if TYPE_CHECKING:
    from cluster.images.build import BuiltImage


def push(image: BuiltImage, repository: str, *, plain_http: bool | None = None) -> str:
    """Push the image as REPOSITORY/NAME:VERSION; return its reference HOST/PATH@sha256:….

    Raises
    ------
    ImageError
        The registry didn't take it.
    """
    name = image.reference.rpartition("/")[2]
    try:
        target = Target.parse(f"{repository.rstrip('/')}/{name}", plain_http=plain_http)
        client, source = RegistryClient(target, None), ArchiveSource(image.archive)
        # An archive names its one image twice: by tag and by digest.
        first = json.loads(source.document(""))["manifests"][0]
        manifest = source.document(first["digest"])
        document = json.loads(manifest)
        with tempfile.TemporaryDirectory(prefix="sluicegate-push-") as scratch:
            path = Path(scratch) / "blob"
            for blob in (*document["layers"], document["config"]):
                if not client.has_blob(blob["digest"]):
                    source.blob(blob["digest"], path)
                    client.upload_file(path, blob["digest"])
        client.put_manifest(target.tag or digest_of(manifest), manifest)
    except PushError as error:
        raise ImageError(str(error)) from error
    return f"{target.repository}@{first['digest']}"
