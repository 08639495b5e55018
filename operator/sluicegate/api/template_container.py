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
    """Path of the file within the volume."""
    key: Annotated[str, StringConstraints(max_length=253)]
    """Name of the variable within the file."""
    optional: bool | None = None
    """Whether it may be missing."""


class TemplateEnvSource(Passed):
    """Source of a variable's value."""

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
    """Source of the variable's value."""


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
    """Name of the request within the claim."""


class TemplateResources(Passed):
    """Resource requests and limits of a container."""

    requests: Amounts = Field(default_factory=dict)
    """Resources that are reserved for the container."""
    limits: Amounts = Field(default_factory=dict)
    """Resources that the container may use at most."""
    claims: Annotated[tuple[DeviceClaim, ...], Field(max_length=8)] = ()
    """Resource claims that the container uses."""


class TemplateMount(Passed):
    """Mount of a volume in a container."""

    name: PlainWord
    """Name of the mounted volume."""
    mount_path: Path
    """Path at which the volume is mounted."""
    read_only: bool | None = None
    """Whether it is read-only."""
    recursive_read_only: PlainWord | None = None
    """Whether mounts below it are read-only too."""
    sub_path: Path | None = None
    """Path within the volume that is mounted."""
    sub_path_expr: Path | None = None
    """Path within the volume that is mounted, with variables."""
    mount_propagation: PlainWord | None = None
    """Propagation of mounts between the container and the host."""


class TemplateContainer(Passed):
    """A container of a training's pod."""

    name: PlainWord | None = None
    """Name of the container; the one that trains is called trainer."""
    image: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Image of the container by reference."""
    image_pull_policy: PlainWord | None = None
    """Policy by which the image is pulled."""
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

    def reserved(self) -> dict[str, str]:
        """Resources that are reserved for it, by name: what is only limited is requested by its limit."""
        return {**self.resources.limits, **self.resources.requests} if self.resources else {}
