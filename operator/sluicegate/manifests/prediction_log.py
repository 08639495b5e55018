"""The log of predictions in pods: the variable, the volume and the credentials of its place."""

import json
from typing import Any, Final

from sluicegate.api.product import DataProduct
from sluicegate.manifests.common import Manifest

LOG_PATH: Final = "/var/log/sluicegate"
_VOLUME: Final = "sluicegate-log"


def log_environment(product: DataProduct) -> dict[str, str]:
    """Return the variable that the library reads; none if the product has no log."""
    log = product.spec.serving.log
    if log is None:
        return {}
    target: dict[str, Any] = {"file": {"path": LOG_PATH}}
    if log.to.s3 is not None:
        target = {"s3": log.to.s3.model_copy(update={"credentials_secret_ref": None}).to_dict()}
    return {"SLUICEGATE_LOG": json.dumps(log.to_dict() | {"to": target}, separators=(",", ":"))}


def log_credentials(product: DataProduct) -> list[Manifest]:
    """Return the source of the variables with the bucket's credentials, if it has some."""
    log = product.spec.serving.log
    reference = log.to.s3.credentials_secret_ref if log and log.to.s3 else None
    return [{"secretRef": {"name": reference.name}}] if reference else []


def log_mounts(product: DataProduct, *, read_only: bool) -> list[Manifest]:
    """Return the mount of the volume, if the log is on one; trainings only read it."""
    if _claim(product) is None:
        return []
    mount = {"name": _VOLUME, "mountPath": LOG_PATH}
    return [mount | {"readOnly": True} if read_only else mount]


def log_volumes(product: DataProduct) -> list[Manifest]:
    """Return the volume, if the log is on one."""
    claim = _claim(product)
    if claim is None:
        return []
    return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}]


def _claim(product: DataProduct) -> str | None:
    log = product.spec.serving.log
    return log.to.file.claim_name if log and log.to.file else None
