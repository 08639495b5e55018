"""Resources and environment variables of a product's container."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from sluicegate.api.base import IDENTIFIER, ApiModel, Line, ObjectName, Rule
from sluicegate.api.list_types import Keyed
from sluicegate.api.patterns import described

QUANTITY_PATTERN = described(
    r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
    "must be a quantity of Kubernetes: write e.g. 500m or 2 for cpu, 512Mi for memory",
)
Quantity = Annotated[
    str,
    StringConstraints(pattern=QUANTITY_PATTERN, max_length=24),
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "minimum": 0,  # the pattern speaks of strings only
            "maximum": 10**12 - 1,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""An amount of a resource, as Kubernetes writes it: 500m, 512Mi."""
ResourceName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([a-z0-9.-]+/)?[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$",
            "must be the name of a resource: write e.g. cpu, memory or nvidia.com/gpu",
        ),
        max_length=253,
    ),
]
EnvName = Annotated[
    str,
    StringConstraints(
        pattern=IDENTIFIER,
        max_length=253,
    ),
]
_QUANTITY: Final = re.compile(
    r"(?P<digits>[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?)(?P<suffix>[numkMGTPE]|[KMGTPE]i)?"
)
_FACTOR_BY_SUFFIX: Final[Mapping[str, Decimal]] = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9),
    "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def quantity_number(quantity: str | int) -> Decimal:
    """Return the number that a Kubernetes quantity stands for: 500m is 0.5, 1Ki is 1024.

    Raises ValueError for what is no quantity.
    """
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity: write e.g. 500m or 512Mi")
    try:
        return Decimal(match["digits"]) * _FACTOR_BY_SUFFIX[match["suffix"] or ""]
    except ArithmeticError as error:
        raise ValueError(
            f"{quantity!r} is beyond any quantity: write e.g. 500m or 512Mi"
        ) from error


class Resources(ApiModel):
    """Resource requests and limits of a container."""

    requests: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = Field(
        default_factory=dict
    )
    """Resources that are reserved for the container."""
    limits: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = Field(
        default_factory=dict
    )
    """Resources that the container may use at most."""

    def reserved(self) -> dict[str, str]:
        """Return the reserved resources by name: requests, or limits without a request."""
        return {**self.limits, **self.requests}

    def names(self, resource: str) -> bool:
        """Return whether a resource has a request or a limit."""
        return resource in self.reserved()


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap of the product's own namespace."""

    name: ObjectName
    """Name of the object."""
    key: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[-._a-zA-Z0-9]+$",
                "must be a key of a Secret or ConfigMap: write letters, digits, -, _ and ., e.g. token",
            ),
            max_length=253,
        ),
    ]
    """Key within the object's data."""
    optional: bool | None = None
    """Whether it may be missing."""


class FieldRef(ApiModel):
    """A field of the pod itself."""

    field_path: Line
    """Path of the field, e.g. metadata.name."""


class EnvSource(ApiModel):
    """Source of a variable's value."""

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
    """An environment variable of a container."""

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
    """Name of the environment variable."""
    value: Annotated[str, StringConstraints(max_length=4096)] | None = None
    """Value of the environment variable."""
    value_from: EnvSource | None = None
    """Source of the variable's value."""


EnvVars = Annotated[tuple[EnvVar, ...], Field(max_length=64), Keyed("name")]
