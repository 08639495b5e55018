"""A page of a list, parsed one object at a time: memory holds only its text and one object.

Small objects need twenty times the memory of their text once they are parsed, and one that is
nested too deeply can't be parsed at all. Neither may prevent that the others of its page are read.
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from sluicegate.kube.errors import KubeError, Transient

MOST_BYTES = 16 * 1024 * 1024
"""Largest answer that is accepted; a page of ordinary objects has a third of it."""
DEEPEST = 200
"""Levels that are kept of an object with more levels than can be parsed."""

_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')
_decode = json.JSONDecoder().raw_decode


class Page:
    """A part of a list; all pages of one list show the state at `resource_version`."""

    def __init__(self, text: str) -> None:
        """Store the JSON of a list; if it isn't one, iterating raises Transient."""
        self._meta: Any = None
        self.items = self._parse(text)
        """The objects, each parsed when it is asked for, and once."""

    @property
    def resource_version(self) -> str:
        """The version of the state that the page shows; unread objects are skipped."""
        return str(self._after().get("resourceVersion", ""))

    @property
    def token(self) -> str:
        """The token of the next page; empty on the last one."""
        return str(self._after().get("continue") or "")

    def _after(self) -> dict[str, Any]:
        for _ in self.items:
            pass
        return self._meta if isinstance(self._meta, dict) else {}

    def _parse(self, text: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._members(text)
        except (ValueError, IndexError) as error:
            raise Transient(f"the answer is no JSON list: {error}") from error

    def _members(self, text: str) -> Iterator[dict[str, Any]]:
        at = _expect(text, 0, "{")
        while text[at] != "}":
            name, at = _decode(text, at)
            at = _expect(text, at, ":")
            if name == "items" and text[at] == "[":
                at = yield from _objects(text, at)
            else:
                value, at = _value(text, at)
                self._meta = value if name == "metadata" else self._meta
            at = _next(text, at, "}")


def _objects(text: str, at: int) -> Generator[dict[str, Any], None, int]:
    """Yield the objects of the list that begins at `at`; return the position of its end."""
    at = _expect(text, at, "[")
    while text[at] != "]":
        value, at = _value(text, at)
        if isinstance(value, dict):
            yield value
        del value  # so that it isn't kept in memory while the next one is parsed
        at = _next(text, at, "]")
    return at + 1


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _decode(text, at)
    except RecursionError:
        shallow, end = cut(text, at)
        return json.loads(shallow), end


def parse_object(title: str, body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a successful answer to the request of this title."""
    try:
        answer = parse(body.decode())
    except ValueError as error:
        raise Transient(f"{title}: the answer is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise KubeError(f"{title}: the answer is not an object")
    return answer


def parse(text: str) -> Any:
    """Parse one JSON value, without levels that are too deep; ValueError if it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(cut(text)[0])


def cut(text: str, at: int = 0) -> tuple[str, int]:
    """Return the JSON value that begins at `at` without levels that are too deep, and where it ends."""
    kept_parts, begin, depth = [], at, 0
    for token in _TOKEN.finditer(text, at):
        if (mark := token[0]) in "[{":
            depth += 1
            if depth == DEEPEST:
                kept_parts.append(text[begin : token.end()])
        elif mark in "]}":
            if depth == DEEPEST:
                begin = token.start()
            depth -= 1
        if not depth:
            return "".join([*kept_parts, text[begin : token.end()]]), token.end()
    raise ValueError("the JSON ends too soon")


def _expect(text: str, at: int, mark: str) -> int:
    """Return the position after a mark; ValueError if it isn't there."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"no {mark} at character {at}")
    return _skip(text, at + 1)


def _next(text: str, at: int, end: str) -> int:
    """Return the position of the next member, or of the end."""
    at = _skip(text, at)
    return at if text[at : at + 1] == end else _expect(text, at, ",")


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
