"""How a bento gets into a pod: mounted as an image volume, or fetched by an init container."""

from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import Manifest, without_empty
from sluicegate.manifests.container import BENTO_PATH, container_security, scratch_mounts

CLAIM_PATH: Final = "/claim"
_CLAIM_SCHEME: Final = "pvc://"


def is_fetched(image: str) -> bool:
    """Whether a bento's identity is an archive's address rather than an image."""
    return "://" in image


def bento_volume(version: VersionBase) -> Manifest:
    """The volume that holds the bento."""
    if is_fetched(version.image):
        return {"name": "bento", "emptyDir": {}}
    reference = {"reference": version.image, "pullPolicy": "IfNotPresent"}
    return {"name": "bento", "image": reference}


def fetch_volumes(version: VersionBase) -> list[Manifest]:
    """The claim that the archive lies on, when it lies on one."""
    if not version.image.startswith(_CLAIM_SCHEME):
        return []
    claim = version.image.removeprefix(_CLAIM_SCHEME).partition("/")[0]
    return [{"name": "claim", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def fetch_containers(product: DataProduct, version: VersionBase) -> list[Manifest]:
    """The init container that fetches an archive and checks its sha256; none for an image."""
    if not is_fetched(version.image):
        return []
    url, _, checksum = version.image.partition("#sha256:")
    credentials = product.spec.model.bento.credentials_secret_ref
    mounts = [{"name": "bento", "mountPath": BENTO_PATH}, *scratch_mounts()]
    if url.startswith(_CLAIM_SCHEME):
        mounts.append({"name": "claim", "mountPath": CLAIM_PATH, "readOnly": True})
    return [
        without_empty(
            {
                "name": "fetch",
                "image": version.runtime_image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "sluicegate_service.fetch", url, checksum, BENTO_PATH],
                "envFrom": [{"secretRef": {"name": credentials.name}}] if credentials else [],
                "resources": without_empty(product.spec.serving.resources.to_dict()),
                "securityContext": container_security(),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": mounts,
            }
        )
    ]
