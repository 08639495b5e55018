"""The parts of a pod spec that a product may have: those of its servers, and the pod template of a training.

Which fields there are is in pod_fields.json, which `make crds` generates from the types of the
`kubernetes` package (.ci/pod_fields.yaml). What isn't a field is refused, so that nothing reaches the
node, another namespace or a token; the restricted profile is set over a template afterwards (see
manifests.training_template). All parts are bounded: an open object of the API may hold more than a
megabyte, which every replica of the operator would have to read.
"""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    StringConstraints,
    create_model,
    model_serializer,
)
from pydantic.alias_generators import to_snake
from pydantic_core import CoreSchema

from sluicegate.api.base import ApiModel, ObjectName, Rule, reserved_keys_rule
from sluicegate.api.containers import EnvName, KeyRef, Quantity, ResourceName, Resources
from sluicegate.api.extent import compact_json
from sluicegate.api.model import LocalRef
from sluicegate.api.patterns import described
from sluicegate.errors import Problem

MAX_BYTES: Final = 32 * 1024
OUR_VOLUMES: Final = ("bento", "home", "tmp", "push", "claim")
OUR_VARIABLES: Final = ("SLUICEGATE_", "BENTOML_", "DOCKER_CONFIG")

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
            "must be the key of a label: write e.g. example.com/tier",
        ),
        max_length=253,
    ),
]
LabelValue = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$",
            "must be the value of a label: write letters, digits, -, _ and ., with a letter or digit at both ends",
        ),
        max_length=63,
    ),
]
_Key = Annotated[str, StringConstraints(max_length=317)]
"""A label's key: a prefix of 253 characters, a slash and a name of 63."""
_PlainWord = Annotated[str, StringConstraints(max_length=63)]
_LongText = Annotated[str, StringConstraints(max_length=8192)]
_Annotation = Annotated[str, StringConstraints(max_length=1024)]


_TYPE_BOUNDS: Final[dict[str, Any]] = {
    "bool": bool,
    "AccessModes": Annotated[tuple[_PlainWord, ...], Field(max_length=4)],
    "Amounts": Annotated[dict[ResourceName, Quantity], Field(max_length=8)],
    "Annotations": Annotated[dict[_Key, _Annotation], Field(max_length=16)],
    "Arguments": Annotated[tuple[_LongText, ...], Field(max_length=64)],
    "DataKey": Annotated[str, StringConstraints(max_length=253)],
    "Effect": Annotated[
        str,
        StringConstraints(
            pattern=described(
                "^(NoSchedule|PreferNoSchedule|NoExecute)$",
                "must be NoSchedule, PreferNoSchedule or NoExecute: write one of them",
            ),
            max_length=16,
        ),
    ],
    "EnvName": EnvName,
    "FieldPath": Annotated[str, StringConstraints(max_length=256)],
    "FileMode": Annotated[int, Field(ge=0, le=0o777)],
    "Grace": Annotated[int, Field(ge=0, le=86_400)],
    "Image": Annotated[str, StringConstraints(max_length=512)],
    "Key": _Key,
    "KeyRef": KeyRef,
    "Keys": Annotated[tuple[_Key, ...], Field(max_length=16)],
    "LabelValue": LabelValue,
    "LabelWords": Annotated[dict[_Key, _PlainWord], Field(max_length=16)],
    "Labels": Annotated[dict[_Key, LabelValue], Field(max_length=16)],
    "LocalRefs": Annotated[tuple[LocalRef, ...], Field(max_length=8)],
    "LongText": _LongText,
    "ObjectName": ObjectName,
    "Path": Annotated[str, StringConstraints(max_length=1024)],
    "PlainWord": _PlainWord,
    "Positive": Annotated[int, Field(ge=1, le=2**31 - 1)],
    "Quantity": Quantity,
    "Resources": Resources,
    "Seconds": Annotated[int, Field(ge=0, le=2**31)],
    "SidecarPolicy": Literal["Always"],
    "TolerationOperator": Literal["Exists", "Equal"],
    "UserId": Annotated[int, Field(ge=0, le=2**31 - 1)],
    "Values": Annotated[tuple[_PlainWord, ...], Field(max_length=32)],
    "Weight": Annotated[int, Field(ge=1, le=100)],
}
"""Types of the fields that hold no other part, by their names in pod_fields.json."""


class Passed(ApiModel):
    """Part of a pod spec that is passed on: what isn't given isn't there, whatever its default."""

    model_config = ConfigDict(use_attribute_docstrings=False)

    @model_serializer(mode="wrap")
    def _only_set_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        serialised_fields: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        set_fields = {
            name
            for field in self.model_fields_set
            for name in (field, fields[field].alias or field)
            if getattr(self, field) is not None
        }
        return {name: value for name, value in serialised_fields.items() if name in set_fields}


class _OneContainer(Passed):
    cel_rules: ClassVar = (
        Rule(
            cel="size(self.containers) == 1",
            holds=lambda self: len(self.containers) == 1,
            message="give exactly one container, which trains: more go to initContainers",
            field="containers",
        ),
        Rule(
            cel="!self.containers.exists(one, has(one.restartPolicy))",
            holds=lambda self: all(
                container.restart_policy is None for container in self.containers
            ),
            message="only initContainers have a restartPolicy (Always: a sidecar); remove it from the"
            " container that trains",
            field="containers",
        ),
    )


class _OwnLabels(Passed):
    cel_rules: ClassVar = (reserved_keys_rule("labels", lambda self: self.labels),)


class _OwnVolume(Passed):
    cel_rules: ClassVar = (
        Rule(
            cel=f"!(self.name in {list(OUR_VOLUMES)})",
            holds=lambda self: self.name not in OUR_VOLUMES,
            message=f"{', '.join(OUR_VOLUMES)} are the operator's volumes: rename it",
            field="name",
        ),
    )


class _OneDeviceClaim(Passed):
    cel_rules: ClassVar = (
        Rule(
            cel="has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
            holds=lambda self: (
                (self.resource_claim_name is None) != (self.resource_claim_template_name is None)
            ),
            message="set exactly one of resourceClaimName and resourceClaimTemplateName",
            field="resourceClaimName",
        ),
    )


class _OwnVariable(Passed):
    cel_rules: ClassVar = (
        Rule(
            cel=" && ".join(f"!self.name.startsWith('{name}')" for name in OUR_VARIABLES),
            holds=lambda self: not self.name.startswith(OUR_VARIABLES),
            message=f"names that begin with {', '.join(OUR_VARIABLES)} are set by the operator:"
            " choose another",
            field="name",
        ),
    )


_BASE_BY_TYPE: Final[dict[str, type[ApiModel]]] = {
    "PodClaim": _OneDeviceClaim,
    "Toleration": ApiModel,
    "TemplateEnvVar": _OwnVariable,
    "TemplateMetadata": _OwnLabels,
    "TemplateSpec": _OneContainer,
    "TemplateVolume": _OwnVolume,
}


def _build_types() -> dict[str, Any]:
    """Return the types of pod_fields.json by name; it has each type below those that it holds."""
    text = Path(__file__).with_name("pod_fields.json").read_text(encoding="utf-8")
    types = dict(_TYPE_BOUNDS)
    for name, entry in json.loads(text).items():
        fields: dict[str, Any] = {
            to_snake(alias): _field(alias, field, types) for alias, field in entry["fields"].items()
        }
        base_type = _BASE_BY_TYPE.get(name, Passed)
        types[name] = create_model(
            name, __base__=base_type, __doc__=entry["description"], __module__=__name__, **fields
        )
    return types


def _field(alias: str, field: dict[str, Any], types: dict[str, Any]) -> tuple[Any, Any]:
    """Return the annotation of a field, and its default with its description."""
    kind: Any = types[field["type"]]
    if "items" in field:
        kind = Annotated[tuple.__class_getitem__((kind, ...)), Field(max_length=field["items"])]
    field_arguments = {"alias": alias, "description": field["description"]}
    container = get_origin(get_args(kind)[0]) if get_origin(kind) is Annotated else None
    if field.get("required"):
        return kind, Field(**field_arguments)
    if container is tuple:
        return kind, Field(default=(), **field_arguments)
    if container is dict:
        return kind, Field(default_factory=dict, **field_arguments)
    return kind | None, Field(default=None, **field_arguments)


POD_TYPES: Final = _build_types()


class _Generated:
    """Marks a field as one of the generated types."""

    def __init__(self, name: str) -> None:
        self._type = POD_TYPES[name]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler.generate_schema(self._type)


Toleration = Annotated[ApiModel, _Generated("Toleration")]
Affinity = Annotated[Passed, _Generated("Affinity")]
TopologySpreadConstraint = Annotated[Passed, _Generated("TopologySpreadConstraint")]
TrainingTemplate = Annotated[Passed, _Generated("TrainingTemplate")]
InitContainer = Annotated[Passed, _Generated("TemplateContainer")]
Volume = Annotated[Passed, _Generated("TemplateVolume")]
VolumeMount = Annotated[Passed, _Generated("TemplateMount")]
PodResourceClaim = Annotated[Passed, _Generated("PodClaim")]


def reserved_resources(template: Passed) -> dict[str, str]:
    """Return what the training container reserves: requests, or limits without a request."""
    resources = template.to_dict()["spec"]["containers"][0].get("resources", {})
    return {**resources.get("limits", {}), **resources.get("requests", {})}


def check_pod_fields(
    pod_fields: Any, path: str = "spec.retraining.podTemplate"
) -> tuple[Problem, ...]:
    """Return the problem of parts of a pod spec, as JSON, that are too large; none if they may be used."""
    size = len(compact_json(pod_fields).encode())
    if size > MAX_BYTES:
        return (Problem(path, f"has {size} bytes: keep it to {MAX_BYTES}"),)
    return ()
