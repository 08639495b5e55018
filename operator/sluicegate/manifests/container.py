"""Common parts of all containers: the restricted profile, writable directories, BentoML's variables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluicegate.api.containers import EnvVar, Resources, quantity_number
from sluicegate.api.pod_types import Passed
from sluicegate.api.product import DataProduct
from sluicegate.manifests.common import Manifest, without_empty

BENTO_PATH: Final = "/bento"
HOME_PATH: Final = "/var/lib/bentoml"
_STORED_DEFAULTS: Final[dict[str, Manifest]] = {
    "fieldRef": {"apiVersion": "v1"},
    "resourceFieldRef": {"divisor": "0"},
}
USER_ID: Final = 1034
"""User of BentoML's own images; any number but 0 would do."""
EPHEMERAL_STORAGE: Final = "ephemeral-storage"
SCRATCH_SIZE: Final = "16Gi"
"""Size of a writable volume without a limit of ephemeral storage."""


def pod_security(*, random_ids: bool = False) -> Manifest:
    """Return the pod's part of the restricted profile.

    With `random_ids` the platform assigns user and group, as OpenShift's restricted-v2 requires.
    Where it assigns none, the image's own user runs.
    """
    fixed_ids = {} if random_ids else dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), USER_ID)
    return {"runAsNonRoot": True, **fixed_ids, "seccompProfile": {"type": "RuntimeDefault"}}


def container_security() -> Manifest:
    """Return the container's part of the restricted profile, with a read-only root."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def container(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    resources: Resources,
    mounts: Sequence[Manifest],
    **container_fields: object,
) -> Manifest:
    """Return a container, without empty fields."""
    return without_empty(
        {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            **container_fields,
            "resources": without_empty(resources.to_dict()),
            "securityContext": container_security(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": list(mounts),
        }
    )


def bento_environment(product: DataProduct, resources: Resources) -> dict[str, str]:
    """Return the variables that BentoML needs in any pod."""
    return {
        "SLUICEGATE_PRODUCT": product.metadata.name,
        "SLUICEGATE_NAMESPACE": product.metadata.namespace,
        "BENTOML_CONTAINERIZED": "true",
        "BENTOML_HOME": HOME_PATH,
        "BENTOML_DO_NOT_TRACK": "True",
        "TMPDIR": "/tmp",  # noqa: S108 - an emptyDir of the pod's own
        "HOME": "/tmp",  # noqa: S108 - the same
        "OMP_NUM_THREADS": str(_threads(resources)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def environment(
    own_variables: Mapping[str, str], user_variables: Sequence[EnvVar]
) -> list[Manifest]:
    """Return the variables of a container; the user's have precedence, as reserved names are refused."""
    own_entries = [{"name": name, "value": value} for name, value in own_variables.items()]
    user_names = {variable.name for variable in user_variables}
    return [item for item in own_entries if item["name"] not in user_names] + [
        as_stored(variable.to_dict()) for variable in user_variables
    ]


def init_containers(user_containers: Sequence[Passed]) -> list[Manifest]:
    """Return a product's own init containers, under the restricted profile."""
    return [
        as_stored(user_container.to_dict()) | {"securityContext": container_security()}
        for user_container in user_containers
    ]


def as_stored(value: Any) -> Any:
    """Return a part of a manifest as the API server stores it.

    The server adds a version to a fieldRef and a divisor to a resourceFieldRef, and drops readOnly
    where it is false, so that the field would otherwise count as changed in every pass.
    """
    if isinstance(value, list):
        return [as_stored(item) for item in value]
    if not isinstance(value, dict):
        return value
    stored_fields = {
        name: as_stored(field_value)
        for name, field_value in value.items()
        if (name, field_value) != ("readOnly", False)
    }
    return {
        name: field_value
        | {
            key: default
            for key, default in _STORED_DEFAULTS[name].items()
            if key not in field_value
        }
        if name in _STORED_DEFAULTS
        else field_value
        for name, field_value in stored_fields.items()
    }


def scratch_volumes(resources: Resources) -> list[Manifest]:
    """Return the writable volumes of a pod: as large as the limit of ephemeral storage, or 16 GiB.

    Beyond its size the kubelet evicts the pod, before the disk of the node is full for others.
    """
    size = resources.limits.get(EPHEMERAL_STORAGE, SCRATCH_SIZE)
    return [{"name": name, "emptyDir": {"sizeLimit": size}} for name in ("home", "tmp")]


def scratch_mounts() -> list[Manifest]:
    """Return the mounts of the writable volumes."""
    return [
        {"name": "home", "mountPath": HOME_PATH},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
    ]


def _threads(resources: Resources) -> int:
    """Return the threads of numeric libraries: as many as requested CPUs, at least one."""
    cpu = resources.requests.get("cpu") or resources.limits.get("cpu") or "1"
    return max(1, math.ceil(quantity_number(cpu)))
