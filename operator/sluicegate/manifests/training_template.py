"""Merge of a user's pod template for training with the operator's."""

from sluicegate.manifests.common import Manifest, without_empty
from sluicegate.manifests.container import container_security


def merge_template(template: Manifest, base: Manifest) -> Manifest:
    """Return `base`, the operator's pod template, with the fields that `template` may change.

    The type of `template` refuses all other fields. `base` has precedence, except for the training
    container's image, command, args, working directory and resources.
    """
    user, ours = template["spec"], base["spec"]
    (trainer,) = user["containers"]
    spec = user | ours
    spec["containers"] = [_merge_trainer(trainer, ours["containers"][0])]
    spec["initContainers"] = [
        *ours.get("initContainers", []),
        *(
            one | {"securityContext": container_security()}
            for one in user.get("initContainers", [])
        ),
    ]
    spec["volumes"] = ours["volumes"] + user.get("volumes", [])
    metadata = template.get("metadata", {})
    return {
        "metadata": without_empty(
            {
                "labels": {**metadata.get("labels", {}), **base["metadata"]["labels"]},
                "annotations": metadata.get("annotations", {}),
            }
        ),
        "spec": without_empty(spec),
    }


def _merge_trainer(theirs: Manifest, ours: Manifest) -> Manifest:
    kept = {
        key: theirs[key]
        for key in ("image", "command", "args", "workingDir", "imagePullPolicy")
        if key in theirs
    }
    own = {variable["name"] for variable in ours["env"]}
    return ours | without_empty(
        kept
        | {
            "env": ours["env"]
            + [item for item in theirs.get("env", []) if item["name"] not in own],
            "envFrom": ours.get("envFrom", []) + theirs.get("envFrom", []),
            "resources": theirs.get("resources") or ours.get("resources"),
            "volumeMounts": ours["volumeMounts"] + _mounts(theirs, ours["volumeMounts"]),
        }
    )


def _mounts(theirs: Manifest, ours: list[Manifest]) -> list[Manifest]:
    taken = {mount["mountPath"] for mount in ours}
    return [mount for mount in theirs.get("volumeMounts", []) if mount["mountPath"] not in taken]
