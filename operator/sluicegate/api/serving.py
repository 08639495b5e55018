"""How a version of the model runs: image, size, scheduling, timeouts."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from sluicegate.api.base import ApiModel, ImageReference, Line, ObjectName, Rule
from sluicegate.api.lists import Keyed
from sluicegate.api.model import LocalRef
from sluicegate.api.names import RESERVED_PREFIXES

QUANTITY_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[
    str,
    StringConstraints(pattern=QUANTITY_PATTERN, max_length=24),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""An amount of a resource, as Kubernetes writes it: 500m, 512Mi."""
ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9.-]+/)?[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$", max_length=253
    ),
]
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
        max_length=253,
    ),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)
]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=253)]
_QUANTITY: Final = re.compile(
    r"(?P<digits>[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?)(?P<suffix>[numkMGTPE]|[KMGTPE]i)?"
)
_SUFFIXES: Final[Mapping[str, Decimal]] = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip

DEFAULT_BUCKETS_MILLISECONDS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
                                60_000, 120_000, 180_000)  # fmt: skip
"""Bounds of BentoML's request histogram; a latency threshold must be one of the bounds in use."""


def amount(quantity: str | int) -> Decimal:
    """The number that a Kubernetes quantity stands for: 500m is 0.5, 1Ki is 1024.

    Raises ValueError for what is no quantity.
    """
    parts = _QUANTITY.fullmatch(str(quantity))
    if parts is None:
        raise ValueError(f"{quantity!r} is no quantity: write e.g. 500m or 512Mi")
    return Decimal(parts["digits"]) * _SUFFIXES[parts["suffix"] or ""]


class Resources(ApiModel):
    """What a container asks for, and what it may use at most."""

    requests: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = Field(
        default_factory=dict
    )
    """What is set aside for it."""
    limits: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = Field(
        default_factory=dict
    )
    """What it may use at most."""


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap of the product's own namespace."""

    name: ObjectName
    """Name of the object."""
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
    """The key."""
    optional: bool | None = None
    """Whether it may be missing."""


class FieldRef(ApiModel):
    """A field of the pod itself."""

    field_path: Line
    """Its path, e.g. metadata.name."""


class EnvSource(ApiModel):
    """Where a variable's value comes from."""

    cel_rules: ClassVar = (
        Rule(
            cel="[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)]"
            ".filter(given, given).size() == 1",
            holds=lambda self: (
                [self.secret_key_ref, self.config_map_key_ref, self.field_ref].count(None) == 2  # noqa: PLR2004 - one of three
            ),
            message="set exactly one of secretKeyRef, configMapKeyRef and fieldRef",
        ),
    )

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: FieldRef | None = None
    """A field of the pod."""


class EnvVar(ApiModel):
    """One environment variable."""

    cel_rules: ClassVar = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: self.value is None or self.value_from is None,
            message="set either value or valueFrom",
            field="value",
        ),
        Rule(
            cel="!self.name.startsWith('SLUICEGATE_') && !self.name.startsWith('BENTOML_')",
            holds=lambda self: not self.name.startswith(("SLUICEGATE_", "BENTOML_")),
            message="names that begin with SLUICEGATE_ or BENTOML_ are set by the operator: choose another",
            field="name",
        ),
    )

    name: EnvName
    """Its name."""
    value: Annotated[str, StringConstraints(max_length=4096)] | None = None
    """Its value."""
    value_from: EnvSource | None = None
    """Where its value comes from."""


EnvVars = Annotated[tuple[EnvVar, ...], Field(max_length=64), Keyed("name")]


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Toleration(ApiModel):
    """A taint that the pods don't mind."""

    key: Annotated[str, StringConstraints(max_length=317)] | None = None
    """Key of the taint; all taints when left out."""
    operator: TolerationOperator | None = None
    """How to compare the value; Equal when left out."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: (
        Annotated[
            str,
            StringConstraints(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16),
        ]
        | None
    ) = None
    """Effect of the taint; all effects when left out."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31)] | None = None
    """How long to stay on the node after the taint appears."""


class Autoscaling(ApiModel):
    """Lets a HorizontalPodAutoscaler size the stable version."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            holds=lambda self: self.min_replicas <= self.max_replicas,
            message="minReplicas must not exceed maxReplicas",
            field="minReplicas",
        ),
    )

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """At least this many pods."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)]
    """At most this many pods."""
    target_cpu_utilization_percentage: Annotated[
        int, Field(ge=1, le=100, alias="targetCPUUtilizationPercentage")
    ] = 70
    """Mean CPU use, in percent of the request, to aim at."""


class Feedback(ApiModel):
    """Lets the truth about predictions come in over /feedback."""

    secret_ref: LocalRef
    """Secret with the keys hmac, optionally hmac-previous, and bearer. You make it; pods mount it."""


PlainObject = Annotated[
    dict[str, Any],
    Field(max_length=16, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
"""Part of a pod spec that is passed on as it is."""


def _reserved(labels: dict[str, str]) -> bool:
    return any(key.startswith(RESERVED_PREFIXES) for key in labels)


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
            cel="!has(self.podLabels) || self.podLabels.all(key, !key.startsWith('sluicegate.dev/')"
            " && !key.startsWith('app.kubernetes.io/'))",
            holds=lambda self: not _reserved(self.pod_labels),
            message="podLabels must not set sluicegate.dev/* or app.kubernetes.io/*, which are the"
            " operator's: use a prefix of your own",
            field="podLabels",
        ),
        Rule(
            cel="!has(self.latencyBucketsMilliseconds) || self.latencyBucketsMilliseconds.all(i, bound,"
            " i == 0 || self.latencyBucketsMilliseconds[i - 1] < bound)",
            holds=lambda self: _increasing(self.latency_buckets_milliseconds),
            message="latencyBucketsMilliseconds must increase from one to the next",
            field="latencyBucketsMilliseconds",
        ),
    )

    runtime_image: ImageReference | None = None
    """Image with Python, BentoML and the frameworks; the operator's default when left out."""
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Pods of the stable version; 1 when neither this nor autoscaling is given."""
    autoscaling: Autoscaling | None = None
    """Bounds for an autoscaler, instead of replicas."""
    resources: Resources = Field(default_factory=Resources)
    """What the serving container asks for."""
    env: EnvVars = ()
    """Variables of the serving container."""
    feedback: Feedback | None = None
    """How the truth comes in; without it outcome SLOs stay Unknown."""
    latency_buckets_milliseconds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=3_600_000)], ...], Field(max_length=32)
    ] = ()
    """Bounds of the request histogram; BentoML's own when empty."""
    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long a request may take; pods wait that long when they end."""
    pre_stop_seconds: Annotated[int, Field(ge=0, le=120)] = 5
    """How long an ending pod still takes requests, until the gateway knows."""
    progress_deadline_seconds: Annotated[int, Field(ge=10, le=86_400)] = 600
    """How long a version may take until its pods are ready."""
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
    """Taints that the pods don't mind."""
    affinity: PlainObject | None = None
    """Affinity of the pods, as in a pod spec."""
    topology_spread_constraints: Annotated[tuple[PlainObject, ...], Field(max_length=8)] = ()
    """How pods spread, as in a pod spec."""
    priority_class_name: ObjectName | None = None
    """Priority class of the pods."""

    @property
    def base_replicas(self) -> int:
        """Pods of the stable version at the least."""
        return self.autoscaling.min_replicas if self.autoscaling else self.replicas or 1

    @property
    def buckets_milliseconds(self) -> tuple[int, ...]:
        """The histogram bounds in use."""
        return self.latency_buckets_milliseconds or DEFAULT_BUCKETS_MILLISECONDS


def _increasing(values: tuple[int, ...]) -> bool:
    return all(a < b for a, b in pairwise(values))
