"""spec.serving.autoscaling: bounds and targets of the autoscaler of the stable version."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, Rule
from sluicegate.api.containers import Quantity
from sluicegate.api.patterns import described
from sluicegate.api.pod_types import LabelKey, LabelValue

MetricName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[A-Za-z_][-A-Za-z0-9_.:]*$",
            "must be the name of a metric, without labels: write e.g. http_requests_per_second",
        ),
        max_length=253,
    ),
]


class PodsMetric(ApiModel):
    """A metric of each pod, of the API custom.metrics.k8s.io: requests in progress, say."""

    name: MetricName
    """Name of the metric."""
    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels of its series."""
    average_value: Quantity
    """Mean of the stable version's pods to aim at."""


class ExternalMetric(ApiModel):
    """A metric of no object of the cluster, of the API external.metrics.k8s.io: any query of Prometheus, say."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.value) != has(self.averageValue)",
            holds=lambda self: (self.value is None) != (self.average_value is None),
            message="set exactly one of value (of the metric) and averageValue (of the metric divided by"
            " the pods)",
            field="value",
        ),
    )

    name: MetricName
    """Name of the metric."""
    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels of its series."""
    value: Quantity | None = None
    """Value to aim at, such as a latency."""
    average_value: Quantity | None = None
    """Value for each pod to aim at, such as requests per second."""


class ScalingMetric(ApiModel):
    """One metric and its target; exactly one kind."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.pods) != has(self.external)",
            holds=lambda self: (self.pods is None) != (self.external is None),
            message="set exactly one of pods and external",
            field="pods",
        ),
    )

    pods: PodsMetric | None = None
    """A metric of the pods."""
    external: ExternalMetric | None = None
    """A metric of no object of the cluster."""


class Autoscaling(ApiModel):
    """Lets a HorizontalPodAutoscaler size the stable version, by CPU and by the metrics."""

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
    metrics: Annotated[tuple[ScalingMetric, ...], Field(max_length=8)] = ()
    """Metrics beside CPU; the number of pods is the largest that one of all asks for."""
