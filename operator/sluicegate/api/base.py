"""What all types of the API share: strictness, camelCase, rules that are CEL and Python at once.

A rule is declared next to the fields it binds, once as CEL for the API server and once as a
Python predicate for objects that never saw it (replay files, objects stored before the rule).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule across fields, for the API server and for us.

    Attributes
    ----------
    cel : the expression; `self` is the object that the rule is declared on.
    holds : the same in Python, on the parsed model.
    message : names the field and the way out.
    field : camelCase name of the field at fault, for the error's path; empty for the object.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    field: str = ""


class ApiModel(BaseModel):
    """Frozen, camelCase outside and snake_case inside, and strict: no string becomes a number."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        extra="forbid",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        rules = type(self).cel_rules
        if rules and (broken := [rule for rule in rules if not rule.holds(self)]):
            raise ValidationError.from_exception_data(
                type(self).__name__, [_line_error(rule) for rule in broken]
            )
        return self

    def to_dict(self, only: set[str] | None = None) -> dict[str, Any]:
        """The object as the API server has it: camelCase, JSON values, nothing that is None.

        Parameters
        ----------
        only : names of the fields that are asked for, as Python has them; None for all.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=only)


def _line_error(rule: Rule) -> InitErrorDetails:
    message = rule.message.replace("{", "{{").replace("}", "}}")
    error = PydanticCustomError("rule", message)
    return InitErrorDetails(type=error, loc=(rule.field,) if rule.field else (), input=None)


class StatusModel(ApiModel):
    """A part of status. What a newer operator wrote there is dropped, never an error.

    What is empty is left out, so that a reader sees what there is to see.
    """

    model_config = ConfigDict(extra="ignore")

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        required = _required(type(self))
        return {
            key: value
            for key, value in dumped.items()
            if value or key in required or not _empty(value)
        }


@cache
def _required(kind: type[BaseModel]) -> frozenset[str]:
    """Required fields by both of their names, as a serialiser doesn't know which one is asked for."""
    fields = [(name, field) for name, field in kind.model_fields.items() if field.is_required()]
    return frozenset({name for name, _ in fields} | {field.alias or name for name, field in fields})


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


# ---- numbers: decimal strings outside, Decimal inside -----------------------------------
DECIMAL_PATTERN = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"
UNIT_PATTERN = r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$"

DecimalString = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=26)]
"""A decimal number as a string: floats are not exact and are not allowed in a spec."""

RatioString = Annotated[str, StringConstraints(pattern=UNIT_PATTERN, max_length=14)]
"""A decimal number from 0 to 1 as a string."""

_LONGEST_NUMBER = 32


def _numeric(value: str) -> str:
    if value:
        float(value)
    return value


Number = Annotated[str, StringConstraints(max_length=_LONGEST_NUMBER), AfterValidator(_numeric)]
"""A number in status: a decimal string, so that no client rounds it."""


def number(value: float, digits: int = 6) -> str:
    """A measured number as status shows it: `digits` significant ones, no float noise.

    Written out, unless it is so small or large that status couldn't hold it.
    """
    text = f"{value:.{digits}g}"
    plain = text if "e" not in text else f"{Decimal(text):f}"
    return plain if len(plain) <= _LONGEST_NUMBER else text


# ---- times -------------------------------------------------------------------------------
def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its zone; write it as 2026-01-31T09:00:00Z")
    return value.astimezone(UTC)


def _from_text(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def rfc3339(value: datetime) -> str:
    """RFC 3339 in UTC to the second, as the API server writes its own times."""
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


Time = Annotated[
    datetime,
    BeforeValidator(_from_text),
    AfterValidator(_aware),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A moment, in UTC; RFC 3339 outside."""


def at(seconds: float) -> datetime:
    """The moment that lies this many seconds after the epoch."""
    return datetime.fromtimestamp(seconds, tz=UTC)


# ---- strings -----------------------------------------------------------------------------
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Line = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Url = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*:[^\s]+$", max_length=2048)]
ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
ShortName = Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=63)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=63)]
ImageReference = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?(@sha256:[a-f0-9]{64})?$", max_length=512
    ),
]
PinnedImage = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?@sha256:[a-f0-9]{64}$", max_length=512
    ),
]
BentoVersion = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-._a-z0-9]*[a-z0-9])?$", max_length=50)
]
Count = Annotated[int, Field(ge=0, le=2**53)]
