"""Volumes that a training's pod template may have, as in a pod spec of Kubernetes 1.37.

None of them reaches the node, another namespace or a token. All are bounded.
"""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ObjectName, Rule
from sluicegate.api.containers import Quantity, Resources
from sluicegate.api.scheduling import Key, LabelSelector, LabelValue, Passed, PlainWord

OUR_VOLUMES: Final = ("bento", "home", "tmp", "push", "claim")
Path = Annotated[str, StringConstraints(max_length=1024)]
FileMode = Annotated[int, Field(ge=0, le=0o777)]
UserId = Annotated[int, Field(ge=0, le=2**31 - 1)]
Labels = Annotated[dict[Key, LabelValue], Field(max_length=16)]
Annotations = Annotated[
    dict[Key, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=16)
]


class PodField(Passed):
    """A field of the pod itself."""

    api_version: PlainWord | None = None
    """Version of the pod's schema."""
    field_path: Annotated[str, StringConstraints(max_length=256)]
    """Path of the field, e.g. metadata.name."""


class ContainerResource(Passed):
    """A resource of a container."""

    container_name: PlainWord | None = None
    """Name of the container that has the resource."""
    resource: PlainWord
    """Resource of the container, e.g. limits.memory."""
    divisor: Quantity | None = None
    """Unit in which the value is given."""


class KeyFile(Passed):
    """A key of a Secret or ConfigMap as a file."""

    key: Annotated[str, StringConstraints(max_length=253)]
    """Key within the object's data."""
    path: Path
    """Path of the file within the volume."""
    mode: FileMode | None = None
    """Permission bits of the file."""
    user: UserId | None = None
    """User who owns the file."""


class PodFieldFile(Passed):
    """A field of the pod as a file."""

    path: Path
    """Path of the file within the volume."""
    field_ref: PodField | None = None
    """A field of the pod."""
    resource_field_ref: ContainerResource | None = None
    """A resource of a container."""
    mode: FileMode | None = None
    """Permission bits of the file."""
    user: UserId | None = None
    """User who owns the file."""


class FilesSource(Passed):
    """Fields that volumes of files share."""

    default_mode: FileMode | None = None
    """Permission bits of the files."""
    default_user: UserId | None = None
    """Owner of the files."""


class KeyFilesSource(FilesSource):
    """Fields that volumes of an object's keys share."""

    items: Annotated[tuple[KeyFile, ...], Field(max_length=32)] = ()
    """Keys that become files; all keys when empty."""
    optional: bool | None = None
    """Whether it may be missing."""


class ConfigMapSource(KeyFilesSource):
    """A ConfigMap of the product's namespace."""

    name: ObjectName
    """Name of the ConfigMap object."""


class SecretSource(KeyFilesSource):
    """A Secret of the product's namespace."""

    secret_name: ObjectName
    """Name of the Secret object."""


class DownwardSource(FilesSource):
    """Fields of the pod as files."""

    items: Annotated[tuple[PodFieldFile, ...], Field(max_length=32)] = ()
    """Files, each of which holds one field."""


class EmptyDirSource(Passed):
    """An empty directory that goes with the pod."""

    medium: PlainWord | None = None
    """Memory, or the node's default when left out."""
    size_limit: Quantity | None = None
    """Maximum size of the directory."""
    mode: FileMode | None = None
    """Permission bits of the directory."""


class ClaimSource(Passed):
    """A PersistentVolumeClaim of the product's namespace."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim."""
    read_only: bool | None = None
    """Whether it is mounted read-only."""


class ImageSource(Passed):
    """An OCI image, mounted read-only."""

    reference: Annotated[str, StringConstraints(max_length=512)]
    """Reference of the OCI image."""
    pull_policy: PlainWord | None = None
    """Policy by which the image is pulled."""


class DataSource(Passed):
    """Object that fills a claim's volume."""

    api_group: Annotated[str, StringConstraints(max_length=253)] | None = None
    """API group of the object."""
    kind: PlainWord
    """Kind of the referenced object."""
    name: ObjectName
    """Name of the referenced object."""


class ClaimMetadata(Passed):
    """Labels and annotations of a claim."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the volume claim."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of the volume claim."""


class ClaimSpec(Passed):
    """Specification of the volume claim."""

    access_modes: Annotated[tuple[PlainWord, ...], Field(max_length=4)] = ()
    """Access modes of the volume."""
    resources: Resources | None = None
    """Size of the volume."""
    selector: LabelSelector | None = None
    """Selector of volumes that may be bound."""
    storage_class_name: ObjectName | None = None
    """StorageClass of the claim."""
    volume_attributes_class_name: ObjectName | None = None
    """VolumeAttributesClass of the claim."""
    volume_mode: PlainWord | None = None
    """Mode of the volume: Filesystem or Block."""
    volume_name: ObjectName | None = None
    """Name of the volume to bind."""
    data_source: DataSource | None = None
    """Object of the namespace that fills the volume."""


class ClaimTemplate(Passed):
    """A claim that is made for the pod, and goes with it."""

    metadata: ClaimMetadata | None = None
    """Labels and annotations of the claim."""
    spec: ClaimSpec
    """Specification of the volume claim."""


class EphemeralSource(Passed):
    """A volume claim that is deleted with its pod."""

    volume_claim_template: ClaimTemplate
    """Template of the claim that lives as long as the pod."""


class TemplateVolume(Passed):
    """A volume of a training's pod."""

    cel_rules: ClassVar = (
        Rule(
            cel=f"!(self.name in {list(OUR_VOLUMES)})",
            holds=lambda self: self.name not in OUR_VOLUMES,
            message=f"{', '.join(OUR_VOLUMES)} are the operator's volumes: rename it",
            field="name",
        ),
    )

    name: PlainWord
    """Name of the pod's volume."""
    empty_dir: EmptyDirSource | None = None
    """Empty directory that lives as long as the pod."""
    config_map: ConfigMapSource | None = None
    """ConfigMap whose keys become files."""
    secret: SecretSource | None = None
    """Secret whose keys become files."""
    persistent_volume_claim: ClaimSource | None = None
    """A PersistentVolumeClaim that exists already."""
    ephemeral: EphemeralSource | None = None
    """A volume claim that is deleted with its pod."""
    image: ImageSource | None = None
    """OCI image whose content is mounted."""
    downward_api: Annotated[DownwardSource | None, Field(alias="downwardAPI")] = None
    """Fields of the pod as files."""
