"""What a training's pod template may say. Everything that isn't a field here is refused.

What is a field can't reach the node, another namespace or a token. The restricted profile is set
over it afterwards (see manifests.training_template). All parts are typed and bounded, so that a template
that is accepted can be built from, and no object of megabytes is stored.
"""

from typing import Annotated, ClassVar, Final

from pydantic import Field

from sluicegate.api.base import ObjectName, Rule, no_reserved_keys
from sluicegate.api.extent import compact
from sluicegate.api.model import LocalRef
from sluicegate.api.scheduling import (
    Affinity,
    Key,
    LabelValue,
    Passed,
    Toleration,
    TopologySpreadConstraint,
)
from sluicegate.api.template_container import TemplateContainer
from sluicegate.api.volumes import Annotations, Labels, TemplateVolume
from sluicegate.errors import Problem

MAX_BYTES: Final = 32 * 1024


class TemplateSpec(Passed):
    """Specification of the training pod."""

    cel_rules: ClassVar = (
        Rule(
            cel="size(self.containers) == 1",
            holds=lambda self: len(self.containers) == 1,
            message="give exactly one container, which trains: more go to initContainers",
            field="containers",
        ),
    )

    containers: Annotated[tuple[TemplateContainer, ...], Field(max_length=8)]
    """The container that trains; there must be exactly one."""
    init_containers: Annotated[tuple[TemplateContainer, ...], Field(max_length=8)] = ()
    """Containers that run to completion before the training."""
    volumes: Annotated[tuple[TemplateVolume, ...], Field(max_length=16)] = ()
    """Volumes that containers of the pod can mount."""
    node_selector: Annotated[dict[Key, LabelValue], Field(max_length=16)] = Field(
        default_factory=dict
    )
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints that the pod tolerates."""
    affinity: Affinity | None = None
    """Node and pod affinity of the training pod."""
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...], Field(max_length=8)
    ] = ()
    """Rules by which pods spread over topology domains."""
    priority_class_name: ObjectName | None = None
    """Name of the pod's PriorityClass."""
    image_pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=8)] = ()
    """Secrets to pull images with."""
    runtime_class_name: ObjectName | None = None
    """Name of the pod's RuntimeClass."""
    scheduler_name: ObjectName | None = None
    """Name of the scheduler that places the pod."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    """Time that the pod has for its termination."""


class TemplateMetadata(Passed):
    """Labels and annotations of the pod."""

    cel_rules: ClassVar = (no_reserved_keys("labels", lambda self: self.labels),)

    labels: Labels = Field(default_factory=dict)
    """Labels of the training pod."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the training pod."""


class TrainingTemplate(Passed):
    """A pod template for trainings."""

    metadata: TemplateMetadata | None = None
    """Labels and annotations of the pod."""
    spec: TemplateSpec
    """Specification of the training pod."""


def check_pod_template(
    template: TrainingTemplate, path: str = "spec.retraining.podTemplate"
) -> tuple[Problem, ...]:
    """What the types can't say of a template: its size. Empty when it may be used."""
    size = len(compact(template.to_dict()).encode())
    if size > MAX_BYTES:
        return (Problem(path, f"has {size} bytes: keep it to {MAX_BYTES}"),)
    return ()
