"""A container of a training's pod template: what it may say, typed and bounded."""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ObjectName, Rule
from sluicegate.api.containers import EnvName, KeyRef, Quantity, ResourceName
from sluicegate.api.scheduling import Passed, PlainWord
from sluicegate.api.volumes import ContainerResource, Path, PodField

OUR_VARIABLES: Final = ("SLUICEGATE_", "BENTOML_", "DOCKER_CONFIG")
Arguments = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=8192)], ...], Field(max_length=64)
]
Amounts = Annotated[dict[ResourceName, Quantity], Field(max_length=8)]


class FileKey(Passed):
    """A variable in a file of a volume."""

    volume_name: PlainWord
    """Name of the volume with the file."""
    path: Path
    """The file, below it."""
    key: Annotated[str, StringConstraints(max_length=253)]
    """Name of the variable within the file."""
    optional: bool | None = None
    """Whether it may be missing."""


class TemplateEnvSource(Passed):
    """Where a variable's value comes from."""

    secret_key_ref: KeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyRef | None = None
    """A key of a ConfigMap."""
    field_ref: PodField | None = None
    """A field of the pod."""
    resource_field_ref: ContainerResource | None = None
    """A resource of a container."""
    file_key_ref: FileKey | None = None
    """A variable in a file."""


class TemplateEnvVar(Passed):
    """An environment variable of a container."""

    cel_rules: ClassVar = (
        Rule(
            cel=" && ".join(f"!self.name.startsWith('{name}')" for name in OUR_VARIABLES),
            holds=lambda self: not self.name.startswith(OUR_VARIABLES),
            message=f"names that begin with {', '.join(OUR_VARIABLES)} are set by the operator:"
            " choose another",
            field="name",
        ),
    )

    name: EnvName
    """Name of the environment variable."""
    value: Annotated[str, StringConstraints(max_length=8192)] | None = None
    """Value of the environment variable."""
    value_from: TemplateEnvSource | None = None
    """Where its value comes from."""


class AllOf(Passed):
    """All keys of a Secret or ConfigMap."""

    name: ObjectName
    """Name of the object."""
    optional: bool | None = None
    """Whether it may be missing."""


class TemplateEnvFrom(Passed):
    """Variables from all keys of an object."""

    prefix: PlainWord | None = None
    """Prefix of the variables' names."""
    config_map_ref: AllOf | None = None
    """ConfigMap whose keys become variables."""
    secret_ref: AllOf | None = None
    """Secret whose keys become variables."""


class DeviceClaim(Passed):
    """A claim of the pod that a container uses."""

    name: PlainWord
    """Name of the resource claim."""
    request: PlainWord | None = None
    """The request in it."""


class TemplateResources(Passed):
    """Resource requests and limits of a container."""

    requests: Amounts = Field(default_factory=dict)
    """Resources that are reserved for the container."""
    limits: Amounts = Field(default_factory=dict)
    """Resources that the container may use at most."""
    claims: Annotated[tuple[DeviceClaim, ...], Field(max_length=8)] = ()
    """Claims that it uses."""


class TemplateMount(Passed):
    """Where a volume is mounted."""

    name: PlainWord
    """Name of the mounted volume."""
    mount_path: Path
    """Path at which it is mounted."""
    read_only: bool | None = None
    """Whether it is read-only."""
    recursive_read_only: PlainWord | None = None
    """Whether what is mounted below is, too."""
    sub_path: Path | None = None
    """Which part of the volume."""
    sub_path_expr: Path | None = None
    """The same, with variables."""
    mount_propagation: PlainWord | None = None
    """Whether mounts pass on."""


class TemplateContainer(Passed):
    """A container of a training's pod."""

    name: PlainWord | None = None
    """Its name; the one that trains is called trainer."""
    image: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Image of the container by reference."""
    image_pull_policy: PlainWord | None = None
    """When the image is pulled."""
    command: Arguments = ()
    """Entry point of the container."""
    args: Arguments = ()
    """Arguments of the entry point."""
    working_dir: Path | None = None
    """Working directory of the container."""
    env: Annotated[tuple[TemplateEnvVar, ...], Field(max_length=64)] = ()
    """Environment variables of the container."""
    env_from: Annotated[tuple[TemplateEnvFrom, ...], Field(max_length=16)] = ()
    """Objects that environment variables are taken from."""
    resources: TemplateResources | None = None
    """Resource requests and limits of the container."""
    volume_mounts: Annotated[tuple[TemplateMount, ...], Field(max_length=32)] = ()
    """Volumes that are mounted into the container."""
