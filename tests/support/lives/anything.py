"""Any value that the CRD's schema takes, drawn at random."""

from __future__ import annotations

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

Body = dict[str, Any]

PRINTABLE: Final = [chr(code) for code in range(33, 127)]
MAX_REPEATS: Final = 6


def draw_any(dice: random.Random, schema: Body, likely: float) -> Any:
    """Draw a value; an optional field is given with the probability `likely`."""
    if "enum" in schema:
        return dice.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return dice.random() < 0.5
    if kind == "integer":
        return draw_integer(dice, schema)
    if kind == "array":
        return _draw_list(dice, schema, likely)
    if kind == "object":
        return _draw_object(dice, schema, likely)
    return _draw_text(dice, schema)


def draw_integer(dice: random.Random, schema: Body) -> int:
    """Draw an integer that the schema allows; its bounds and its default more often."""
    low, high = schema["minimum"], schema["maximum"]
    usual, other = schema.get("default", high), dice.randint(low, high)
    return int(dice.choice((low, high, usual, usual, other, other)))


def _draw_list(dice: random.Random, schema: Body, likely: float) -> list[Any]:
    least, most = schema.get("minItems", 1), min(schema.get("maxItems", 3), 3)
    items = [
        draw_any(dice, schema["items"], likely) for _ in range(dice.randint(max(least, 1), most))
    ]
    keys = schema.get("x-kubernetes-list-map-keys")
    identity = (lambda one: [one.get(key) for key in keys]) if keys else (lambda one: one)
    return [
        one for place, one in enumerate(items) if identity(one) not in map(identity, items[:place])
    ]


def _draw_object(dice: random.Random, schema: Body, likely: float) -> Body:
    fields, needed = schema.get("properties", {}), schema.get("required", ())
    drawn = {
        name: draw_any(dice, one, likely)
        for name, one in fields.items()
        if name in needed or dice.random() < likely
    }
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for number in range(dice.randint(1, 3)):
            drawn[f"key-{number}"] = draw_any(dice, others, likely)
    return drawn


def _draw_text(dice: random.Random, schema: Body) -> str:
    least, most = schema.get("minLength", 1), schema.get("maxLength", 40)
    pattern = schema.get("pattern")
    if pattern is None:
        return "".join(dice.choices("abcdefgh", k=dice.randint(least, max(least, min(most, 12)))))
    return _draw_match(dice, _parsed(pattern))


@cache
def _parsed(pattern: str) -> Any:
    return parser.parse(pattern, re.ASCII)


def _draw_match(dice: random.Random, tokens: Sequence[Any]) -> str:
    """A text that a regular expression matches."""
    text = ""
    for code, argument in tokens:
        if code in (codes.LITERAL, codes.NOT_LITERAL):
            text += chr(argument) if code is codes.LITERAL else "x"
        elif code is codes.IN:
            text += dice.choice(_characters(argument))
        elif code is codes.ANY:
            text += "x"
        elif code is codes.BRANCH:
            text += _draw_match(dice, dice.choice(argument[1]))
        elif code is codes.SUBPATTERN:
            text += _draw_match(dice, argument[-1])
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            low, high, repeated = argument
            times = dice.randint(low, max(low, min(high, MAX_REPEATS)))
            text += "".join(_draw_match(dice, repeated) for _ in range(times))
    return text


def _characters(parts: Sequence[Any]) -> list[str]:
    """The characters of a class, those that can be printed."""
    found: set[str] = set()
    excludes = False
    for code, argument in parts:
        if code is codes.NEGATE:
            excludes = True
        elif code is codes.LITERAL:
            found.add(chr(argument))
        elif code is codes.RANGE:
            found |= {chr(number) for number in range(argument[0], argument[1] + 1)}
        elif code is codes.CATEGORY:
            found |= {" "} if argument is codes.CATEGORY_SPACE else set("09")
    return sorted(set(PRINTABLE) - found if excludes else found)
