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
    """Its path, e.g. metadata.name."""


class ContainerResource(Passed):
    """A resource of a container."""

    container_name: PlainWord | None = None
    """Which container."""
    resource: PlainWord
    """Which resource, e.g. limits.memory."""
    divisor: Quantity | None = None
    """The unit."""


class KeyFile(Passed):
    """A key of a Secret or ConfigMap as a file."""

    key: Annotated[str, StringConstraints(max_length=253)]
    """The key."""
    path: Path
    """The file, below the volume."""
    mode: FileMode | None = None
    """Its permission bits."""
    user: UserId | None = None
    """Its owner."""


class PodFieldFile(Passed):
    """What a pod knows of itself as a file."""

    path: Path
    """The file, below the volume."""
    field_ref: PodField | None = None
    """A field of the pod."""
    resource_field_ref: ContainerResource | None = None
    """A resource of a container."""
    mode: FileMode | None = None
    """Its permission bits."""
    user: UserId | None = None
    """Its owner."""


class FilesSource(Passed):
    """What volumes of files share."""

    default_mode: FileMode | None = None
    """Permission bits of the files."""
    default_user: UserId | None = None
    """Owner of the files."""


class KeyFilesSource(FilesSource):
    """What volumes of an object's keys share."""

    items: Annotated[tuple[KeyFile, ...], Field(max_length=32)] = ()
    """Its keys; all when empty."""
    optional: bool | None = None
    """Whether it may be missing."""


class ConfigMapSource(KeyFilesSource):
    """A ConfigMap of the product's namespace."""

    name: ObjectName
    """Its name."""


class SecretSource(KeyFilesSource):
    """A Secret of the product's namespace."""

    secret_name: ObjectName
    """Its name."""


class DownwardSource(FilesSource):
    """What the pod knows of itself."""

    items: Annotated[tuple[PodFieldFile, ...], Field(max_length=32)] = ()
    """The files."""


class EmptyDirSource(Passed):
    """An empty directory that goes with the pod."""

    medium: PlainWord | None = None
    """Memory, or the node's default when left out."""
    size_limit: Quantity | None = None
    """How large it may become."""
    mode: FileMode | None = None
    """Its permission bits."""


class ClaimSource(Passed):
    """A PersistentVolumeClaim of the product's namespace."""

    claim_name: ObjectName
    """Its name."""
    read_only: bool | None = None
    """Whether it is mounted read-only."""


class ImageSource(Passed):
    """An OCI image, mounted read-only."""

    reference: Annotated[str, StringConstraints(max_length=512)]
    """The image."""
    pull_policy: PlainWord | None = None
    """When it is pulled."""


class DataSource(Passed):
    """What a claim's volume is filled from."""

    api_group: Annotated[str, StringConstraints(max_length=253)] | None = None
    """API group of the object."""
    kind: PlainWord
    """Its kind."""
    name: ObjectName
    """Its name."""


class ClaimMetadata(Passed):
    """Labels and annotations of a claim."""

    labels: Labels = Field(default_factory=dict)
    """Its labels."""
    annotations: Annotations = Field(default_factory=dict)
    """Its annotations."""


class ClaimSpec(Passed):
    """What is claimed."""

    access_modes: Annotated[tuple[PlainWord, ...], Field(max_length=4)] = ()
    """How it may be mounted."""
    resources: Resources | None = None
    """How large it is."""
    selector: LabelSelector | None = None
    """Which volumes fit."""
    storage_class_name: ObjectName | None = None
    """Class of the storage."""
    volume_attributes_class_name: ObjectName | None = None
    """Class of its attributes."""
    volume_mode: PlainWord | None = None
    """Filesystem or Block."""
    volume_name: ObjectName | None = None
    """The volume itself."""
    data_source: DataSource | None = None
    """What it is filled from, within the namespace."""


class ClaimTemplate(Passed):
    """A claim that is made for the pod, and goes with it."""

    metadata: ClaimMetadata | None = None
    """Its labels and annotations."""
    spec: ClaimSpec
    """What it claims."""


class EphemeralSource(Passed):
    """A claim that goes with the pod."""

    volume_claim_template: ClaimTemplate
    """The claim."""


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
    """Its name."""
    empty_dir: EmptyDirSource | None = None
    """An empty directory."""
    config_map: ConfigMapSource | None = None
    """A ConfigMap."""
    secret: SecretSource | None = None
    """A Secret."""
    persistent_volume_claim: ClaimSource | None = None
    """A claim that exists."""
    ephemeral: EphemeralSource | None = None
    """A claim that goes with the pod."""
    image: ImageSource | None = None
    """An OCI image."""
    downward_api: Annotated[DownwardSource | None, Field(alias="downwardAPI")] = None
    """What the pod knows of itself."""
