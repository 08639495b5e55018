"""Bentos in pods: mounted as an image volume, or fetched by an init container."""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.container import BENTO_PATH, container, scratch_mounts

CLAIM_PATH: Final = "/claim"
_CLAIM_SCHEME: Final = "pvc://"


def is_fetched(image: str) -> bool:
    """Return whether a bento is identified by an archive's address rather than by an image."""
    return "://" in image


@dataclass(frozen=True, slots=True)
class BentoPlace:
    """Place of a bento in a pod: its mount path, and the names of its volumes and init container."""

    path: str = BENTO_PATH
    volume: str = "bento"
    claim: str = "claim"
    fetch: str = "fetch"

    @property
    def mount(self) -> Manifest:
        """Read-only mount of the bento."""
        return {"name": self.volume, "mountPath": self.path, "readOnly": True}


SERVER_PLACE: Final = BentoPlace()
"""Place of the only bento of a server, or of a training."""


ARCHIVE_SIZE: Final = "17Gi"
"""Size of the volume of an unpacked archive, whose files have at most 16 GiB."""


def bento_volume(version: VersionBase, place: BentoPlace = SERVER_PLACE) -> Manifest:
    """Return the volume that holds the bento."""
    if is_fetched(version.image):
        return {"name": place.volume, "emptyDir": {"sizeLimit": ARCHIVE_SIZE}}
    reference = {"reference": version.image, "pullPolicy": "IfNotPresent"}
    return {"name": place.volume, "image": reference}


def fetch_volumes(version: VersionBase, place: BentoPlace = SERVER_PLACE) -> list[Manifest]:
    """Return the volume of the claim that holds the archive, if there is one."""
    if not version.image.startswith(_CLAIM_SCHEME):
        return []
    claim = version.image.removeprefix(_CLAIM_SCHEME).partition("/")[0]
    return [{"name": place.claim, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def fetch_containers(
    product: DataProduct, version: VersionBase, place: BentoPlace = SERVER_PLACE
) -> list[Manifest]:
    """Return the init container that fetches an archive and checks its sha256; none for an image."""
    if not is_fetched(version.image):
        return []
    url, _, checksum = version.image.partition("#sha256:")
    credentials_secret = product.spec.model.bento.credentials_secret_ref
    mounts = [{"name": place.volume, "mountPath": place.path}, *scratch_mounts()]
    if url.startswith(_CLAIM_SCHEME):
        mounts.append({"name": place.claim, "mountPath": CLAIM_PATH, "readOnly": True})
    return [
        container(
            place.fetch,
            version.runtime_image,
            ["python", "-m", "sluicegate_service.fetch", url, checksum, place.path],
            resources=product.spec.serving.resources,
            mounts=mounts,
            envFrom=[{"secretRef": {"name": credentials_secret.name}}]
            if credentials_secret
            else [],
        )
    ]
