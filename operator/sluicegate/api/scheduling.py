"""Where pods may run: affinity, spread and tolerations, as in a pod spec of Kubernetes 1.37.

They are written out, and bounded, instead of left open: an open object of the API may hold more
than a megabyte, which every replica of the operator would have to read.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer

from sluicegate.api.base import ApiModel

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
Key = Annotated[str, StringConstraints(max_length=317)]
"""A label's key: a prefix of 253 characters, a slash and a name of 63."""
Keys = Annotated[tuple[Key, ...], Field(max_length=16)]
PlainWord = Annotated[str, StringConstraints(max_length=63)]
Values = Annotated[tuple[PlainWord, ...], Field(max_length=32)]
Weight = Annotated[int, Field(ge=1, le=100)]


class Passed(ApiModel):
    """Part of a pod spec that is passed on: what isn't given isn't there, whatever its default."""

    @model_serializer(mode="wrap")
    def _only_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        given = {
            name
            for field in self.model_fields_set
            for name in (field, fields[field].alias or field)
            if getattr(self, field) is not None
        }
        return {name: value for name, value in dumped.items() if name in given}


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Toleration(ApiModel):
    """A taint that the pods tolerate."""

    key: Key | None = None
    """Key of the taint; all taints when left out."""
    operator: TolerationOperator | None = None
    """Comparison with the taint's value; Equal when left out."""
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
    """Time to stay on the node after the taint was added."""


class LabelRequirement(Passed):
    """Condition on one label, or one field of a node."""

    key: Key
    """The label's key, or the field's name."""
    operator: PlainWord
    """In, NotIn, Exists or DoesNotExist; for nodes Gt and Lt too."""
    values: Values = ()
    """Values that the operator compares with."""


class LabelSelector(Passed):
    """Objects by their labels."""

    match_labels: Annotated[dict[Key, PlainWord], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels that an object must have."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=8)] = ()
    """Further conditions on the labels."""


class NodeSelectorTerm(Passed):
    """Nodes that meet all of these."""

    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=8)] = ()
    """Conditions on the node's labels."""
    match_fields: Annotated[tuple[LabelRequirement, ...], Field(max_length=8)] = ()
    """Conditions on the node's fields."""


class NodeSelector(Passed):
    """Nodes that meet one of these."""

    node_selector_terms: Annotated[tuple[NodeSelectorTerm, ...], Field(max_length=8)]
    """Alternatives, of which one must match."""


class PreferredSchedulingTerm(Passed):
    """Nodes that are preferred."""

    weight: Weight
    """Weight of the preference, from 1 to 100."""
    preference: NodeSelectorTerm
    """Nodes that are preferred by it."""


class NodeAffinity(Passed):
    """Nodes that the pods must or should run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that they must run on."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredSchedulingTerm, ...], Field(max_length=8)
    ] = ()
    """Nodes that they should run on."""


class PodAffinityTerm(Passed):
    """Pods near which to run, or not to."""

    label_selector: LabelSelector | None = None
    """Selector of the other pods."""
    topology_key: Key
    """Node label whose values are the topology domains."""
    namespaces: Values = ()
    """Namespaces of those pods; the product's own when empty."""
    namespace_selector: LabelSelector | None = None
    """More namespaces, by label."""
    match_label_keys: Keys = ()
    """Labels that both pods must share."""
    mismatch_label_keys: Keys = ()
    """Labels in which both must differ."""


class WeightedPodAffinityTerm(Passed):
    """Pods near which it is preferred to run, or not to."""

    weight: Weight
    """Weight of the preference, from 1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """Pods that the rule is about."""


class PodAffinity(Passed):
    """Pods near which these must or should run; as anti-affinity, those they avoid."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodAffinityTerm, ...], Field(max_length=8)
    ] = ()
    """Rules that must be met."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[WeightedPodAffinityTerm, ...], Field(max_length=8)
    ] = ()
    """Rules that should be met."""


class Affinity(Passed):
    """Which nodes and pods attract or repel the pods, as in a pod spec."""

    node_affinity: NodeAffinity | None = None
    """Nodes to run on."""
    pod_affinity: PodAffinity | None = None
    """Pods to run near."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods to keep away from."""


class TopologySpreadConstraint(Passed):
    """A rule by which pods spread over zones or nodes, as in a pod spec."""

    max_skew: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """Maximum difference in pods between two domains."""
    topology_key: Key
    """Label of nodes whose values are the domains."""
    when_unsatisfiable: PlainWord
    """Behaviour if the constraint cannot be met: DoNotSchedule or ScheduleAnyway."""
    label_selector: LabelSelector | None = None
    """Selector of the pods that count."""
    min_domains: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Minimum number of domains."""
    node_affinity_policy: PlainWord | None = None
    """Honor or Ignore: whether nodes that do not match the pods' affinity are left out."""
    node_taints_policy: PlainWord | None = None
    """Honor or Ignore: whether nodes with taints that the pods do not tolerate are left out."""
    match_label_keys: Keys = ()
    """Labels whose values the counted pods must share."""
