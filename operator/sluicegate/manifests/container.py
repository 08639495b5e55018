"""What every container of ours has: the restricted profile, scratch space, BentoML's variables."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from sluicegate.api.containers import EnvVar, Resources, amount
from sluicegate.api.product import DataProduct
from sluicegate.manifests.common import Manifest, without_empty

BENTO_PATH: Final = "/bento"
HOME_PATH: Final = "/var/lib/bentoml"
USER_ID: Final = 1034
"""BentoML's own images run as this user; any number but 0 would do."""


def pod_security() -> Manifest:
    """The pod's half of the restricted profile."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """The container's half of the restricted profile, and a root that can't be written."""
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
    **others: object,
) -> Manifest:
    """A container of ours, without the fields that are empty."""
    return without_empty(
        {
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": list(command),
            **others,
            "resources": without_empty(resources.to_dict()),
            "securityContext": container_security(),
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": list(mounts),
        }
    )


def bento_environment(product: DataProduct, resources: Resources) -> dict[str, str]:
    """Variables that BentoML needs in any pod of ours."""
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


def environment(ours: Mapping[str, str], theirs: Sequence[EnvVar]) -> list[Manifest]:
    """The variables of a container: the user's win, as names that are ours alone are refused."""
    own = [{"name": name, "value": value} for name, value in ours.items()]
    given = {variable.name for variable in theirs}
    return [item for item in own if item["name"] not in given] + [
        _as_stored(variable) for variable in theirs
    ]


def _as_stored(variable: EnvVar) -> Manifest:
    """A variable as the API server keeps it.

    It adds a version to a fieldRef, which is one value to it, so that the field would count as
    changed indefinitely.
    """
    item = variable.to_dict()
    if variable.value_from is not None and variable.value_from.field_ref is not None:
        item["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    return item


def scratch_volumes() -> list[Manifest]:
    """What a pod may write to."""
    return [{"name": "home", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]


def scratch_mounts() -> list[Manifest]:
    """Where it may write."""
    return [
        {"name": "home", "mountPath": HOME_PATH},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
    ]


def _threads(resources: Resources) -> int:
    """Threads of numeric libraries: as many as there are CPUs asked for, at least one."""
    cpu = resources.requests.get("cpu") or resources.limits.get("cpu") or "1"
    return max(1, math.ceil(amount(cpu)))
