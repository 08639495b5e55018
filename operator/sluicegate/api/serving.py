"""How a version of the model runs: image, size, scheduling, timeouts."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.autoscaling import Autoscaling
from sluicegate.api.base import ApiModel, ImageReference, ObjectName, Rule, reserved_keys_rule
from sluicegate.api.containers import EnvVars, Resources
from sluicegate.api.feedback import Feedback
from sluicegate.api.list_types import Keyed
from sluicegate.api.markets import MarketSource
from sluicegate.api.model import LocalRef
from sluicegate.api.pod_types import (
    Affinity,
    InitContainer,
    LabelKey,
    LabelValue,
    PodResourceClaim,
    Toleration,
    TopologySpreadConstraint,
    Volume,
    VolumeMount,
)
from sluicegate.api.prediction_log import PredictionLog

DEFAULT_BUCKETS_MILLISECONDS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
                                60_000, 120_000, 180_000)  # fmt: skip
"""Bounds of BentoML's request histogram; a latency threshold must be one of the bounds in use."""


DEFAULT_MAX_REQUEST_BYTES: Final = 10 * 1024 * 1024


SERVER_VOLUMES: Final = ("feedback", "sluicegate-log")
"""Volumes of the operator in pods that serve, beside those of all its pods."""
SERVER_CONTAINERS: Final = ("fetch", "runtime-check", "server")
"""Containers of the operator in pods that serve."""
SERVER_PATHS: Final = (
    "/bento", "/tmp", "/var/lib/bentoml", "/var/run/sluicegate", "/var/log/sluicegate",  # noqa: S108 - in pods
)  # fmt: skip
"""Paths of the operator's mounts: nothing is mounted at or below them."""


_PLAIN_PATH: Final = r"^(/[^/:]+)+$"
_DOT_SEGMENTS: Final = r"/[.]{1,2}(/|$)"


def _are_plain(paths: Iterable[str]) -> bool:
    return all(
        re.search(_PLAIN_PATH, path) and not re.search(_DOT_SEGMENTS, path) for path in paths
    )


def _avoids_reserved_paths(paths: Iterable[str]) -> bool:
    return not any(
        path == reserved_path or path.startswith(f"{reserved_path}/")
        for path in paths
        for reserved_path in SERVER_PATHS
    )


class Serving(ApiModel):
    """How the model's pods run. All versions that live take a change in place, but for runtimeImage."""

    cel_rules: ClassVar = (
        Rule(
            cel="!(has(self.replicas) && has(self.autoscaling))",
            holds=lambda self: self.replicas is None or self.autoscaling is None,
            message="set either replicas or autoscaling (minReplicas, maxReplicas), not both",
            field="replicas",
        ),
        Rule(
            cel="!has(self.autoscaling) || (has(self.resources) &&"
            " ((has(self.resources.requests) && 'cpu' in self.resources.requests) ||"
            " (has(self.resources.limits) && 'cpu' in self.resources.limits)))",
            holds=lambda self: self.autoscaling is None or self.resources.names("cpu"),
            message="autoscaling needs resources.requests.cpu: its target is in percent of that",
            field="autoscaling",
        ),
        reserved_keys_rule("podLabels", lambda self: self.pod_labels),
        Rule(
            cel="!has(self.latencyBucketsMilliseconds) || self.latencyBucketsMilliseconds.all(i, bound,"
            " i == 0 || self.latencyBucketsMilliseconds[i - 1] < bound)",
            holds=lambda self: all(a < b for a, b in pairwise(self.latency_buckets_milliseconds)),
            message="latencyBucketsMilliseconds must increase from one to the next",
            field="latencyBucketsMilliseconds",
        ),
        Rule(
            cel=f"!has(self.volumes) || self.volumes.all(one, !(one.name in {list(SERVER_VOLUMES)}))",
            holds=lambda self: not {volume.name for volume in self.volumes} & {*SERVER_VOLUMES},
            message=f"{' and '.join(SERVER_VOLUMES)} are the operator's volumes: rename it",
            field="volumes",
        ),
        Rule(
            cel="!has(self.initContainers) || self.initContainers.all(one, has(one.name)"
            f" && !(one.name in {list(SERVER_CONTAINERS)}))",
            holds=lambda self: all(
                init_container.name and init_container.name not in SERVER_CONTAINERS
                for init_container in self.init_containers
            ),
            message=f"each of initContainers needs a name other than {', '.join(SERVER_CONTAINERS)}",
            field="initContainers",
        ),
        Rule(
            cel="!has(self.initContainers) || self.initContainers.all(one, has(one.image)"
            " && size(one.image) > 0 && self.initContainers.exists_one(other,"
            " has(one.name) && has(other.name) && other.name == one.name))",
            holds=lambda self: (
                all(init_container.image for init_container in self.init_containers)
                and len({init_container.name for init_container in self.init_containers})
                == len(self.init_containers)
            ),
            message="each of initContainers needs an image and a name of its own",
            field="initContainers",
        ),
        Rule(
            cel="!has(self.initContainers) || self.initContainers.all(one, !has(one.volumeMounts)"
            " || one.volumeMounts.all(mount, has(self.volumes)"
            " && self.volumes.exists(volume, volume.name == mount.name)))",
            holds=lambda self: (
                {
                    mount.name
                    for init_container in self.init_containers
                    for mount in init_container.volume_mounts
                }
                <= {volume.name for volume in self.volumes}
            ),
            message="initContainers mount volumes of serving.volumes only: the operator's, such as the"
            " checked bento, are not theirs to change",
            field="initContainers",
        ),
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(mount,"
            f" mount.mountPath.matches('{_PLAIN_PATH}') && !mount.mountPath.matches('{_DOT_SEGMENTS}'))",
            holds=lambda self: _are_plain(
                volume_mount.mount_path for volume_mount in self.volume_mounts
            ),
            message="a mountPath is absolute and has no empty part, no . or .., and no colon",
            field="volumeMounts",
        ),
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes)"
            " && self.volumes.exists(one, one.name == mount.name))",
            holds=lambda self: (
                {volume_mount.name for volume_mount in self.volume_mounts}
                <= {volume.name for volume in self.volumes}
            ),
            message="volumeMounts names a volume that is not in volumes: add it there",
            field="volumeMounts",
        ),
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(mount,"
            f" !({list(SERVER_PATHS)}.exists(path, mount.mountPath == path"
            " || mount.mountPath.startsWith(path + '/'))))",
            holds=lambda self: _avoids_reserved_paths(
                volume_mount.mount_path for volume_mount in self.volume_mounts
            ),
            message=f"the operator mounts {', '.join(SERVER_PATHS)}: mount the volume elsewhere",
            field="volumeMounts",
        ),
    )

    runtime_image: ImageReference | None = None
    """Image with Python, BentoML and the frameworks; the operator's default when left out."""
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Pods of the stable version; 1 when neither this nor autoscaling is given."""
    autoscaling: Autoscaling | None = None
    """Bounds for an autoscaler, instead of replicas."""
    resources: Resources = Field(default_factory=Resources)
    """Resource requests and limits of the serving container."""
    env: EnvVars = ()
    """Variables of the serving container."""
    feedback: Feedback | None = None
    """Feedback on predictions. Without it, SLOs on outcomes stay Unknown."""
    latency_buckets_milliseconds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3_600_000)], ...], Field(max_length=32)
    ] = ()
    """Bounds of the request histogram; BentoML's own when empty."""
    log: PredictionLog | None = None
    """Log of predictions with their features and labels, which trainings read. Without it, none is
    written."""
    market: MarketSource | None = None
    """Part of a request that names its market. Without it, events are not counted by market."""
    max_request_bytes: Annotated[int, Field(ge=1024, le=2**30)] = DEFAULT_MAX_REQUEST_BYTES
    """Maximum size of a request's body, and of all bodies over 32 KiB that a pod handles at the
    same time; larger ones are answered 413. A parsed body takes up to forty times its size in
    memory: size resources accordingly. The limit of /feedback is 1 MiB."""
    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Maximum duration of a request; a terminating pod waits that long for its requests."""
    pre_stop_seconds: Annotated[int, Field(ge=0, le=120)] = 5
    """Time for which a terminating pod still accepts requests, until the gateway stops sending
    any."""
    progress_deadline_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    """Deadline for the pods of a version to become ready."""
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8), Keyed("name")] = ()
    """Secrets to pull the runtime image and the bento with."""
    pod_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """More labels for the pods."""
    pod_annotations: Annotated[
        dict[LabelKey, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=16)
    ] = Field(default_factory=dict)
    """More annotations for the pods."""
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints that the pods tolerate."""
    affinity: Affinity | None = None
    """Affinity of the pods, as in a pod spec."""
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...], Field(max_length=8)
    ] = ()
    """Rules by which pods spread over zones or nodes, as in a pod spec."""
    priority_class_name: ObjectName | None = None
    """Priority class of the pods."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pods, such as that of a sandbox or of a GPU's container runtime."""
    resource_claims: Annotated[
        tuple[PodResourceClaim, ...], Field(max_length=4), Keyed("name")
    ] = ()
    """Claims of devices (dynamic resource allocation) of the pods; the serving container uses all of
    them."""
    volumes: Annotated[tuple[Volume, ...], Field(max_length=16), Keyed("name")] = ()
    """More volumes of the pods, e.g. a claim with weights. Old and new pods mount them at the same
    time: a claim needs ReadOnlyMany or ReadWriteMany as soon as they run on two nodes."""
    volume_mounts: Annotated[
        tuple[VolumeMount, ...], Field(max_length=16), Keyed("mount_path")
    ] = ()
    """Mounts of these volumes in the serving container."""
    init_containers: Annotated[tuple[InitContainer, ...], Field(max_length=4)] = ()
    """Containers that run to completion before the serving container starts, under the restricted
    profile. One with restartPolicy Always is a sidecar, which runs beside it."""

    def pod_fields(self) -> dict[str, Any]:
        """Return the parts that are passed on to pods as they are, as JSON, without those not given."""
        passed_fields = {
            "resourceClaims": self.resource_claims,
            "volumes": self.volumes,
            "volumeMounts": self.volume_mounts,
            "initContainers": self.init_containers,
        }
        return {
            name: [item.to_dict() for item in items]
            for name, items in passed_fields.items()
            if items
        }

    @property
    def base_replicas(self) -> int:
        """Return the least number of stable's pods."""
        return self.autoscaling.min_replicas if self.autoscaling else self.replicas or 1

    @property
    def max_replicas(self) -> int:
        """Return the largest number of stable's pods."""
        return self.autoscaling.max_replicas if self.autoscaling else self.replicas or 1

    @property
    def buckets_milliseconds(self) -> tuple[int, ...]:
        """The histogram bounds in use."""
        return self.latency_buckets_milliseconds or DEFAULT_BUCKETS_MILLISECONDS
