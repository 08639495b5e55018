"""A user's pod template for training, with what the operator adds and enforces."""

from typing import Any

from sluicegate.api.pod_template import (
    CONTAINER_FIELDS,
    OUR_VARIABLES,
    OUR_VOLUMES,
    POD_FIELDS,
    VOLUME_FIELDS,
)
from sluicegate.manifests.common import Manifest, without_empty
from sluicegate.manifests.container import container_security


def merge_template(template: Manifest, base: Manifest) -> Manifest:
    """`base`, the pod template that the operator would use, with what `template` may change.

    Only listed fields are taken, so that a template that was never checked can do no more
    than a checked one. `base` wins where both speak, but for what trains: image, command,
    args, working directory and resources.
    """
    user, ours = template.get("spec") or {}, base["spec"]
    trainer, *_ = user.get("containers") or [{}]
    spec = _only(user, POD_FIELDS) | ours
    spec["containers"] = [_merge_trainer(_only(trainer, CONTAINER_FIELDS), ours["containers"][0])]
    spec["initContainers"] = [
        *ours.get("initContainers", []),
        *(_secured(container) for container in user.get("initContainers") or []),
    ]
    spec["volumes"] = ours["volumes"] + _volumes(user)
    metadata = template.get("metadata") or {}
    return {
        "metadata": without_empty(
            {
                "labels": {**(metadata.get("labels") or {}), **base["metadata"]["labels"]},
                "annotations": metadata.get("annotations") or {},
            }
        ),
        "spec": without_empty(spec),
    }


def _merge_trainer(theirs: Manifest, ours: Manifest) -> Manifest:
    kept = {
        key: theirs[key]
        for key in ("image", "command", "args", "workingDir", "imagePullPolicy", "envFrom")
        if key in theirs
    }
    own = {variable["name"] for variable in ours["env"]}
    variables = [item for item in theirs.get("env") or [] if item["name"] not in own]
    return ours | without_empty(
        kept
        | {
            "env": ours["env"]
            + [item for item in variables if not item["name"].startswith(OUR_VARIABLES)],
            "resources": theirs.get("resources") or ours.get("resources"),
            "volumeMounts": ours["volumeMounts"] + _mounts(theirs, ours["volumeMounts"]),
        }
    )


def _mounts(theirs: Manifest, ours: list[Manifest]) -> list[Manifest]:
    taken = {mount["mountPath"] for mount in ours}
    return [
        mount for mount in theirs.get("volumeMounts") or [] if mount.get("mountPath") not in taken
    ]


def _secured(container: Manifest) -> Manifest:
    return _only(container, CONTAINER_FIELDS) | {"securityContext": container_security()}


def _volumes(spec: Manifest) -> list[Manifest]:
    volumes = [_only(volume, VOLUME_FIELDS) for volume in spec.get("volumes") or []]
    return [volume for volume in volumes if volume.get("name") not in OUR_VOLUMES]


def _only(part: Manifest, allowed: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key in allowed}
