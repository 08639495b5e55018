"""Merge of a user's pod template for training with the operator's."""

from sluicegate.manifests.common import Manifest, without_empty
from sluicegate.manifests.container import container_security


def merge_template(user_template: Manifest, operator_template: Manifest) -> Manifest:
    """Return `operator_template`, the operator's pod template, with the fields that `user_template` may change.

    The type of `user_template` refuses all other fields. `operator_template` has precedence, except for the training
    container's image, command, args, working directory and resources.
    """
    user_spec, operator_spec = user_template["spec"], operator_template["spec"]
    (trainer,) = user_spec["containers"]
    spec = user_spec | operator_spec
    spec["containers"] = [_merge_trainer(trainer, operator_spec["containers"][0])]
    spec["initContainers"] = [
        *operator_spec.get("initContainers", []),
        *(
            init_container | {"securityContext": container_security()}
            for init_container in user_spec.get("initContainers", [])
        ),
    ]
    spec["volumes"] = operator_spec["volumes"] + user_spec.get("volumes", [])
    metadata = user_template.get("metadata", {})
    return {
        "metadata": without_empty(
            {
                "labels": {**metadata.get("labels", {}), **operator_template["metadata"]["labels"]},
                "annotations": metadata.get("annotations", {}),
            }
        ),
        "spec": without_empty(spec),
    }


def _merge_trainer(user_container: Manifest, operator_container: Manifest) -> Manifest:
    user_fields = {
        key: user_container[key]
        for key in ("image", "command", "args", "workingDir", "imagePullPolicy")
        if key in user_container
    }
    reserved_names = {variable["name"] for variable in operator_container["env"]}
    return operator_container | without_empty(
        user_fields
        | {
            "env": operator_container["env"]
            + [
                item for item in user_container.get("env", []) if item["name"] not in reserved_names
            ],
            "envFrom": operator_container.get("envFrom", []) + user_container.get("envFrom", []),
            "resources": user_container.get("resources") or operator_container.get("resources"),
            "volumeMounts": operator_container["volumeMounts"]
            + _user_mounts(user_container, operator_container["volumeMounts"]),
        }
    )


def _user_mounts(user_container: Manifest, operator_mounts: list[Manifest]) -> list[Manifest]:
    operator_paths = {mount["mountPath"] for mount in operator_mounts}
    return [
        mount
        for mount in user_container.get("volumeMounts", [])
        if mount["mountPath"] not in operator_paths
    ]
