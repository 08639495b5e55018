"""What a training's pod template may say. Everything that isn't listed is refused.

The schema leaves the template open, because a pod spec written out would be larger than all
the rest; what is listed here can't reach the node, another namespace or a token. The
restricted profile is set over it afterwards (see manifests.template).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sluicegate.errors import Problem

MAX_BYTES: Final = 32 * 1024
POD_FIELDS: Final = frozenset(
    {
        "containers", "initContainers", "volumes", "nodeSelector", "tolerations", "affinity",
        "topologySpreadConstraints", "priorityClassName", "imagePullSecrets", "runtimeClassName",
        "schedulerName", "terminationGracePeriodSeconds",
    }
)  # fmt: skip
CONTAINER_FIELDS: Final = frozenset(
    {
        "name", "image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom",
        "resources", "volumeMounts",
    }
)  # fmt: skip
VOLUME_FIELDS: Final = frozenset(
    {
        "name", "emptyDir", "configMap", "secret", "persistentVolumeClaim", "ephemeral", "image",
        "downwardAPI",
    }
)  # fmt: skip
OUR_VOLUMES: Final = frozenset({"bento", "home", "tmp", "push", "claim"})
OUR_VARIABLES: Final = ("SLUICEGATE_", "BENTOML_", "DOCKER_CONFIG")
_METADATA_FIELDS: Final = frozenset({"labels", "annotations"})
_TEMPLATE_FIELDS: Final = frozenset({"metadata", "spec"})
_RESERVED_LABELS: Final = ("sluicegate.dev/", "app.kubernetes.io/")


def check_pod_template(
    template: Mapping[str, Any], path: str = "spec.retraining.podTemplate"
) -> tuple[Problem, ...]:
    """All that the template may not say; empty when it may be used."""
    size = len(json.dumps(template).encode())
    if size > MAX_BYTES:
        return (Problem(path, f"has {size} bytes: keep it to {MAX_BYTES}"),)
    return tuple(_check(template, path))


def _check(template: Mapping[str, Any], path: str) -> Iterator[Problem]:
    yield from _only(template, _TEMPLATE_FIELDS, path)
    metadata, spec = _map(template.get("metadata")), _map(template.get("spec"))
    yield from _only(metadata, _METADATA_FIELDS, f"{path}.metadata")
    for label in _map(metadata.get("labels")):
        if label.startswith(_RESERVED_LABELS):
            yield Problem(
                f"{path}.metadata.labels", f"must not set {label}: use a prefix of your own"
            )
    yield from _only(spec, POD_FIELDS, f"{path}.spec")
    yield from _check_containers(spec, f"{path}.spec")
    for place, volume in enumerate(_items(spec, "volumes")):
        yield from _check_volume(volume, f"{path}.spec.volumes[{place}]")


def _check_containers(spec: Mapping[str, Any], path: str) -> Iterator[Problem]:
    containers = _items(spec, "containers")
    if len(containers) != 1:
        yield Problem(
            f"{path}.containers",
            f"has {len(containers)}: give exactly one, which trains (more go to initContainers)",
        )
    for kind in ("containers", "initContainers"):
        for place, container in enumerate(_items(spec, kind)):
            yield from _check_container(container, f"{path}.{kind}[{place}]")


def _check_container(container: Mapping[str, Any], path: str) -> Iterator[Problem]:
    yield from _only(container, CONTAINER_FIELDS, path)
    for variable in _items(container, "env"):
        name = str(variable.get("name", ""))
        if name.startswith(OUR_VARIABLES):
            yield Problem(f"{path}.env", f"must not set {name}: the operator does")


def _check_volume(volume: Mapping[str, Any], path: str) -> Iterator[Problem]:
    yield from _only(volume, VOLUME_FIELDS, path)
    if volume.get("name") in OUR_VOLUMES:
        yield Problem(f"{path}.name", f'is "{volume["name"]}", which is the operator\'s: rename it')


def _only(part: Mapping[str, Any], allowed: frozenset[str], path: str) -> Iterator[Problem]:
    for field in part:
        if field not in allowed:
            words = ", ".join(sorted(allowed))
            yield Problem(f"{path}.{field}", f"isn't allowed: remove it (allowed are {words})")


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(part: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = part.get(field)
    return [_map(item) for item in value] if isinstance(value, list) else []
