"""What is wrong with a document, as paths and sentences."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from sluicegate.api.extent import kind_of
from sluicegate.api.patterns import sentence_of
from sluicegate.errors import InvalidInput, Problem

_SENTENCE_BY_TYPE: Final = {
    "missing": "is required: set it",
    "extra_forbidden": "is not a field: correct its name or remove it",
}

__all__ = ["InvalidProduct", "json_path", "problem"]


class InvalidProduct(InvalidInput):
    """A document that is no valid DataProduct."""


def json_path(path_parts: Iterable[int | str]) -> str:
    """Return a path in JSON notation: `spec.slos[1].objective` for `("spec", "slos", 1, "objective")`."""
    path = ""
    for path_part in path_parts:
        if isinstance(path_part, int):
            path += f"[{path_part}]"
        else:
            path += f".{path_part}" if path else path_part
    return path


def problem(error: ErrorDetails) -> Problem:
    """Return a pydantic error as a problem: the value, what the field needs, and the way out."""
    path, kind, value = json_path(error["loc"]), error["type"], error["input"]
    if kind in _SENTENCE_BY_TYPE:
        return Problem(path, _SENTENCE_BY_TYPE[kind])
    if kind in {"rule", "duplicate"}:
        prefix = f"is {_value_text(value)}, but " if kind == "rule" and _is_plain(value) else ""
        return Problem(path, f"{prefix}{error['msg']}")
    need = _need(error)
    if need is None and isinstance(value, dict | list | tuple):
        return Problem(path, error["msg"])
    return Problem(path, f"is {_value_text(value)}, but {need or _lowered(error['msg'])}")


def _need(error: ErrorDetails) -> str | None:
    """Return the field's requirement, as a sentence's predicate; None to use pydantic's message."""
    context: Mapping[str, Any] = error.get("ctx") or {}
    if error["type"] == "string_pattern_mismatch":
        return sentence_of(str(context["pattern"]))
    need = _NEEDS.get(error["type"])
    return need(error["input"], context) if need else None


def _text(value: object, _: Mapping[str, Any]) -> str:
    match value:
        case bool():
            return (
                "must be text: write it in quotes, as YAML reads no, off and yes as true or false"
            )
        case int() | float():
            return f'must be text: write it in quotes, "{json.dumps(value)}"'
        case _:
            return "must be text: write one value"


def _whole(value: object, _: Mapping[str, Any]) -> str:
    is_quoted = isinstance(value, str) and value.strip().lstrip("+-").isdecimal()
    way_out = f"without quotes, {value}" if is_quoted else "without quotes, fraction and unit"
    return f"must be a whole number: write it {way_out}"


def _object(_: object, __: Mapping[str, Any]) -> str:
    return "must be an object: write its fields"


def _list(_: object, __: Mapping[str, Any]) -> str:
    return "must be a list: write [a, b], or one item a line with - before it"


def _items(value: object, context: Mapping[str, Any]) -> str:
    is_long = "max_length" in context
    bound = f"at most {context['max_length']}" if is_long else f"at least {context['min_length']}"
    unit = "character" if isinstance(value, str) else "item"
    unit += "" if bound.endswith(" 1") else "s"
    return f"must have {bound} {unit}: {'remove' if is_long else 'add'} some"


_NEEDS: Final[Mapping[str, Callable[[object, Mapping[str, Any]], str]]] = {
    "string_type": _text,
    "int_type": _whole,
    "int_from_float": _whole,
    "bool_type": lambda *_: "must be true or false, without quotes: write one of them",
    "model_type": _object,
    "model_attributes_type": _object,
    "dict_type": _object,
    "tuple_type": _list,
    "enum": lambda _, context: f"must be {_alternatives(context)}: write one of them",
    "literal_error": lambda _, context: f"must be {_alternatives(context)}: write it",
    "greater_than_equal": lambda _, context: f"must be at least {context['ge']}: raise it",
    "less_than_equal": lambda _, context: f"must be at most {context['le']}: lower it",
    "string_too_long": _items,
    "string_too_short": _items,
    "too_long": _items,
    "too_short": _items,
}


def _alternatives(context: Mapping[str, Any]) -> str:
    return str(context["expected"]).replace("'", "")


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _is_plain(value: object) -> bool:
    """Return whether a value is one, or a list of some, that a line can show."""
    if isinstance(value, list | tuple):
        return all(isinstance(item, str | int | float) for item in value)
    return isinstance(value, str | int | float)


def _value_text(value: object) -> str:
    if isinstance(value, dict) or (
        isinstance(value, list | tuple) and not (value and _is_plain(value))
    ):
        return kind_of(value) if value else f"an empty {kind_of(value).rpartition(' ')[2]}"
    text = f'"{value}"' if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - one line of a terminal
