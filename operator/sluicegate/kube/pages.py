"""A page of a list, parsed one object at a time: memory holds only its text and one object.

Small objects need twenty times the memory of their text once they are parsed, and one that is
nested too deeply can't be parsed at all. Neither may prevent that the others of its page are read.
"""

import json
import re
from collections.abc import Generator, Iterator
from typing import Any

from sluicegate.kube.errors import KubeError, Transient

MAX_BYTES = 16 * 1024 * 1024
"""Largest answer that is accepted; a page of ordinary objects has a third of it."""
MAX_DEPTH = 200
"""Levels that are kept of an object with more levels than can be parsed."""

_SPACE_PATTERN = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')
_decode_json = json.JSONDecoder().raw_decode


class Page:
    """A part of a list; all pages of one list show the state at `resource_version`."""

    def __init__(self, text: str) -> None:
        """Store the JSON of a list; if it isn't one, iterating raises Transient."""
        self._meta: Any = None
        self.items = self._parse(text)
        """The objects, each parsed when it is asked for, and once."""

    @property
    def resource_version(self) -> str:
        """Return the version of the state that the page shows; unread objects are skipped."""
        return str(self._after().get("resourceVersion", ""))

    @property
    def token(self) -> str:
        """Return the token of the next page; empty on the last one."""
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
        start_index = _expect_mark(text, 0, "{")
        while text[start_index] != "}":
            name, start_index = _decode_json(text, start_index)
            start_index = _expect_mark(text, start_index, ":")
            if name == "items" and text[start_index] == "[":
                start_index = yield from _list_objects(text, start_index)
            else:
                value, start_index = _json_value(text, start_index)
                self._meta = value if name == "metadata" else self._meta
            start_index = _next_index(text, start_index, "}")


def _list_objects(text: str, start_index: int) -> Generator[dict[str, Any], None, int]:
    """Yield the objects of the list that begins at `at`; return the position of its end."""
    start_index = _expect_mark(text, start_index, "[")
    while text[start_index] != "]":
        value, start_index = _json_value(text, start_index)
        if isinstance(value, dict):
            yield value
        del value  # so that it isn't kept in memory while the next one is parsed
        start_index = _next_index(text, start_index, "]")
    return start_index + 1


def _json_value(text: str, start_index: int) -> tuple[Any, int]:
    try:
        return _decode_json(text, start_index)
    except RecursionError:
        shallow_text, end_index = cut_deep_values(text, start_index)
        return json.loads(shallow_text), end_index


def parse_object(title: str, body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a successful answer to the request of this title."""
    try:
        json_document = parse(body.decode())
    except ValueError as error:
        raise Transient(f"{title}: the answer is not JSON: {error}") from error
    if not isinstance(json_document, dict):
        raise KubeError(f"{title}: the answer is not an object")
    return json_document


def parse(text: str) -> Any:
    """Parse one JSON value, without levels that are too deep; ValueError if it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(cut_deep_values(text)[0])


def cut_deep_values(text: str, start_index: int = 0) -> tuple[str, int]:
    """Return the JSON value that begins at `at` without levels that are too deep, and where it ends."""
    text_parts, part_begin, depth = [], start_index, 0
    for token in _TOKEN.finditer(text, start_index):
        if (json_mark := token[0]) in "[{":
            depth += 1
            if depth == MAX_DEPTH:
                text_parts.append(text[part_begin : token.end()])
        elif json_mark in "]}":
            if depth == MAX_DEPTH:
                part_begin = token.start()
            depth -= 1
        if not depth:
            return "".join([*text_parts, text[part_begin : token.end()]]), token.end()
    raise ValueError("the JSON ends too soon")


def _expect_mark(text: str, start_index: int, json_mark: str) -> int:
    """Return the position after a mark; ValueError if it isn't there."""
    start_index = _skip_space(text, start_index)
    if text[start_index : start_index + 1] != json_mark:
        raise ValueError(f"no {json_mark} at character {start_index}")
    return _skip_space(text, start_index + 1)


def _next_index(text: str, start_index: int, end_mark: str) -> int:
    """Return the position of the next member, or of the end."""
    start_index = _skip_space(text, start_index)
    return (
        start_index
        if text[start_index : start_index + 1] == end_mark
        else _expect_mark(text, start_index, ",")
    )


def _skip_space(text: str, start_index: int) -> int:
    space_match = _SPACE_PATTERN.match(text, start_index)
    return space_match.end() if space_match else start_index
