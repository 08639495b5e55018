"""What all types of the API share: strictness, camelCase, rules that are CEL and Python at once.

A rule is declared next to the fields it binds, once as CEL for the API server and once as a
Python predicate for objects that never saw it (replay files, objects stored before the rule).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import InitErrorDetails, PydanticCustomError

from sluicegate.api.names import RESERVED_PREFIXES
from sluicegate.api.patterns import described
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs


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


def reserved_keys_rule(field: str, labels: Callable[[Any], Iterable[str]]) -> Rule:
    """Return the rule that forbids the operator's own labels in this field."""
    return Rule(
        cel=f"!has(self.{field}) || self.{field}.all(key, !key.startsWith('sluicegate.dev/')"
        " && !key.startsWith('app.kubernetes.io/'))",
        holds=lambda self: not any(key.startswith(RESERVED_PREFIXES) for key in labels(self)),
        message=f"{field} must not set sluicegate.dev/* or app.kubernetes.io/*, which are the"
        " operator's: use a prefix of your own",
        field=field,
    )


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
        # Most models are only parts of another, whose validator holds theirs: one for each of them
        # costs the operator 4.5 MiB.
        defer_build=True,
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        rules = type(self).cel_rules
        if rules and (broken_rules := [rule for rule in rules if not rule.holds(self)]):
            raise ValidationError.from_exception_data(
                type(self).__name__, [_line_error(rule, self) for rule in broken_rules]
            )
        return self

    def replace(self, **update: object) -> Self:
        """Return a copy with other values of some fields, which aren't validated."""
        return self.model_copy(update=update)

    def to_dict(self, field_names: set[str] | None = None) -> dict[str, Any]:
        """Return the object in the API server's form: camelCase, JSON values, without None.

        Parameters
        ----------
        field_names : names of the fields that are asked for, as Python has them; None for all.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=field_names)


def _line_error(rule: Rule, model: ApiModel) -> InitErrorDetails:
    message = rule.message.replace("{", "{{").replace("}", "}}")
    error = PydanticCustomError("rule", message)
    value = getattr(model, to_snake(rule.field), None)
    return InitErrorDetails(type=error, loc=(rule.field,) if rule.field else (), input=value)


class StatusModel(ApiModel):
    """A part of status. What a newer operator wrote there is dropped, never an error.

    What is empty is left out, so that a reader sees what there is to see.
    """

    model_config = ConfigDict(extra="ignore")

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        serialised_fields: dict[str, Any] = handler(self)
        required_names = _required_names(type(self))
        return {
            key: value
            for key, value in serialised_fields.items()
            # 0 and False say something; an empty text, list or object doesn't.
            if value or key in required_names or isinstance(value, int | float)
        }


@cache
def _required_names(kind: type[BaseModel]) -> frozenset[str]:
    """Return the required fields by both of their names, as the serialiser's mode is unknown."""
    fields = [(name, field) for name, field in kind.model_fields.items() if field.is_required()]
    return frozenset({name for name, _ in fields} | {field.alias or name for name, field in fields})


# ---- numbers: decimal strings outside, Decimal inside -----------------------------------
DECIMAL_PATTERN = described(
    r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$",
    'must be a decimal number without %, unit or exponent: write e.g. "0.03"',
)
UNIT_PATTERN = described(
    r"^(0(\.[0-9]{1,12})?|1(\.0{1,12})?)$",
    'must be a share from 0 to 1 as a decimal number: write 99.9 % as "0.999"',
    at_server=True,
)

DecimalString = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=26)]
"""A decimal number as a string: floats are not exact and are not allowed in a spec."""

RatioString = Annotated[str, StringConstraints(pattern=UNIT_PATTERN, max_length=14)]
"""A decimal number from 0 to 1 as a string."""

_LONGEST_NUMBER = 32


def _checked_number(value: str) -> str:
    if value:
        float(value)
    return value


Number = Annotated[
    str, StringConstraints(max_length=_LONGEST_NUMBER), AfterValidator(_checked_number)
]
"""A number in status: a decimal string, so that no client rounds it."""


def number(value: float, digits: int = 6) -> str:
    """Round a measured number as status shows it: `digits` significant ones, no float noise.

    Written out, unless it is so small or large that status couldn't hold it.
    """
    return _decimal_text(f"{value:.{digits}g}")


def _decimal_text(text: str) -> str:
    decimal = text if "e" not in text else f"{Decimal(text):f}"
    return decimal if len(decimal) <= _LONGEST_NUMBER else text


# ---- times -------------------------------------------------------------------------------
_MIN_TIME, _MAX_TIME = -62_135_596_800, 253_402_300_799
"""Of the years 1 to 9999, which RFC 3339 can write."""


def _seconds(value: object) -> object:
    return _second_of(value) if isinstance(value, str) else value


@lru_cache(maxsize=2**12)
def _second_of(value: str) -> int:
    """Return the second of a text; cached, as a status has the same dozen times in each of its versions."""
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time needs its zone; write it as 2026-01-31T09:00:00Z")
    return int(time.replace(microsecond=0).timestamp())  # a float would round up


def rfc3339(seconds: int) -> str:
    """Return a time, in seconds since the epoch, as RFC 3339 in UTC, in the API server's format."""
    time = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return f"{time.isoformat(timespec='seconds')}Z"


Time = Annotated[
    int,
    Field(ge=_MIN_TIME, le=_MAX_TIME),
    BeforeValidator(_seconds),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment, in whole seconds since the epoch; RFC 3339 in UTC outside."""

Since = Annotated[
    Time,
    PlainSerializer(
        lambda seconds: rfc3339(seconds) if seconds else None,
        return_type=str | None,
        when_used="json",
    ),
]
"""A moment from which on something counts; 0, which is left out, for "from the beginning"."""


# ---- exact numbers and counts ------------------------------------------------------------
def _exact_text(value: float) -> str:
    """Return the shortest text that gives the float back exactly."""
    return _decimal_text(repr(value).removesuffix(".0"))


def _as_float(value: object) -> object:
    try:
        return float(value) if isinstance(value, int | str) else value
    except OverflowError as error:
        raise ValueError("is larger than any number of a status") from error


Exact = Annotated[
    float,
    BeforeValidator(_as_float),
    PlainSerializer(_exact_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "maxLength": _LONGEST_NUMBER}),
]
"""A number that the engine computes with; a decimal string outside, which gives it exactly."""

ExactOrZero = Annotated[
    Exact,
    PlainSerializer(
        lambda value: _exact_text(value) if value else None,
        return_type=str | None,
        when_used="json",
    ),
]
"""The same; zero is left out."""


def _as_count(value: object) -> object:
    if isinstance(value, Count):
        return value
    if not isinstance(value, dict):
        raise ValueError("must be an object with bad and total")  # noqa: TRY004 - pydantic wants it
    count = Count(value.get("bad", 0), value.get("total", 0))
    if any(not isinstance(number, int) or not 0 <= number <= _MAX_EVENTS for number in count):
        raise ValueError(f"bad and total must be whole numbers from 0 to {_MAX_EVENTS}")
    return count


def _counts_schema(texts: dict[str, str]) -> WithJsonSchema:
    integer_schema = {"type": "integer", "minimum": 0, "maximum": _MAX_EVENTS}
    properties = {name: integer_schema | {"description": text} for name, text in texts.items()}
    return WithJsonSchema({"type": "object", "required": [*texts], "properties": properties})


_MAX_EVENTS = 2**53
Events = Annotated[int, Field(ge=0, le=_MAX_EVENTS)]
"""How many events."""
Counted = Annotated[
    InstanceOf[Count],
    BeforeValidator(_as_count),
    PlainSerializer(lambda pair: pair._asdict(), return_type=dict[str, int], when_used="json"),
    _counts_schema({"bad": "Number of bad events.", "total": "Number of all events."}),
]
"""Bad events of all events."""

_PAIR_FIELDS: Final = {
    "bothRight": ("both_right", "Rows on which both are right."),
    "onlyStableWrong": ("only_stable_wrong", "Rows on which stable alone is wrong."),
    "onlyCandidateWrong": ("only_candidate_wrong", "Rows on which the candidate alone is wrong."),
    "bothWrong": ("both_wrong", "Rows on which both are wrong."),
}


def _as_count_pairs(value: object) -> object:
    if isinstance(value, Pairs):
        return value
    if not isinstance(value, dict) or (missing_names := sorted(_PAIR_FIELDS.keys() - value.keys())):
        missing_text = f"; {', '.join(missing_names)} is missing" if isinstance(value, dict) else ""
        raise ValueError(f"must be an object with {', '.join(_PAIR_FIELDS)}{missing_text}")
    rows = [value[name] for name in _PAIR_FIELDS]
    if any(type(row) is not int or not 0 <= row <= _MAX_EVENTS for row in rows):
        raise ValueError(f"{', '.join(_PAIR_FIELDS)} must be whole numbers from 0 to {_MAX_EVENTS}")
    return Pairs(*rows)


Paired = Annotated[
    InstanceOf[Pairs],
    BeforeValidator(_as_count_pairs),
    PlainSerializer(
        lambda pairs: {name: getattr(pairs, own) for name, (own, _) in _PAIR_FIELDS.items()},
        return_type=dict[str, int],
        when_used="json",
    ),
    _counts_schema({name: text for name, (_, text) in _PAIR_FIELDS.items()}),
]
"""Rows that two versions were scored on, by which of them was right."""


# ---- strings -----------------------------------------------------------------------------
IDENTIFIER = described(
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    "must have only letters, digits and _, and begin with no digit: write e.g. SearchRanking or LOG_LEVEL",
)
DNS_LABEL = described(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "must be a name of lower-case letters, digits and -, with a letter or digit at both ends: write e.g. search-ranking",
)
Line = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(max_length=4096)]
Url = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z][a-z0-9+.-]*:[^\s]+$",
            "must be an address with its scheme and without spaces: write e.g. https://wiki.example/search",
        ),
        max_length=2048,
    ),
]
Date = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
            r"|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
            r"|[12][0-9](0[48]|[2468][048]|[13579][26])-02-29)$",
            "must be a day of the calendar: write YEAR-MONTH-DAY, e.g. 2026-12-31",
        ),
        max_length=10,
    ),
]
"""A day of the calendar, as 2026-12-31."""
ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$",
            "must be the name of an object: write lower-case letters, digits, - and ., with a letter or digit at both ends",
        ),
        max_length=253,
    ),
]
ShortName = Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=63)]
HeaderName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[A-Za-z0-9][-A-Za-z0-9]*$",
            "must be the name of a header: write letters, digits and -, e.g. X-Request-Id",
        ),
        max_length=64,
    ),
]
Word = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[A-Z][A-Za-z0-9]*$",
            "must be one word that begins with a capital and has letters and digits only: write e.g. DataScientist",
        ),
        max_length=63,
    ),
]
ImageReference = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?(@sha256:[a-f0-9]{64})?$",
            "must be an image without spaces and scheme: write REGISTRY/REPOSITORY@sha256:…",
        ),
        max_length=512,
    ),
]
PinnedImage = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?@sha256:[a-f0-9]{64}$",
            "must name the image by digest, not by a tag: write @sha256: and its 64 hexadecimal digits, as `sluicegate pack` prints it",
        ),
        max_length=512,
    ),
]
BentoVersion = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z0-9]([-._a-z0-9]*[a-z0-9])?$",
            "must have only lower-case letters, digits, -, _ and ., with a letter or digit at both ends: write e.g. v1.2",
        ),
        max_length=50,
    ),
]
