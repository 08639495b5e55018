"""Merge of a user's pod template for training with the operator's."""

from sluicegate.manifests.common import Manifest, without_empty
from sluicegate.manifests.container import container_security


def merge_template(template: Manifest, base: Manifest) -> Manifest:
    """Return `base`, the operator's pod template, with the fields that `template` may change.

    The type of `template` refuses all other fields. `base` has precedence, except for the training
    container's image, command, args, working directory and resources.
    """
    user, own_spec = template["spec"], base["spec"]
    (trainer,) = user["containers"]
    spec = user | own_spec
    spec["containers"] = [_merge_trainer(trainer, own_spec["containers"][0])]
    spec["initContainers"] = [
        *own_spec.get("initContainers", []),
        *(
            init_container | {"securityContext": container_security()}
            for init_container in user.get("initContainers", [])
        ),
    ]
    spec["volumes"] = own_spec["volumes"] + user.get("volumes", [])
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


def _merge_trainer(user_container: Manifest, own_container: Manifest) -> Manifest:
    kept_fields = {
        key: user_container[key]
        for key in ("image", "command", "args", "workingDir", "imagePullPolicy")
        if key in user_container
    }
    own_names = {variable["name"] for variable in own_container["env"]}
    return own_container | without_empty(
        kept_fields
        | {
            "env": own_container["env"]
            + [item for item in user_container.get("env", []) if item["name"] not in own_names],
            "envFrom": own_container.get("envFrom", []) + user_container.get("envFrom", []),
            "resources": user_container.get("resources") or own_container.get("resources"),
            "volumeMounts": own_container["volumeMounts"]
            + _mounts(user_container, own_container["volumeMounts"]),
        }
    )


def _mounts(user_container: Manifest, own_mounts: list[Manifest]) -> list[Manifest]:
    own_paths = {mount["mountPath"] for mount in own_mounts}
    return [
        mount
        for mount in user_container.get("volumeMounts", [])
        if mount["mountPath"] not in own_paths
    ]
