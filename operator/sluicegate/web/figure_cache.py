"""Rendered figures of lines, kept compressed: most lines change once a day, and a page has dozens."""

import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields
from hashlib import sha256
from marshal import dumps
from operator import attrgetter
from typing import Final

from markupsafe import Markup

from sluicegate.reporting.evolution_lines import EvolutionLine, Mark, Point

MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of all kept figures, compressed: those of about ninety products with ledgers of three months."""
_ENTRY_BYTES: Final = 200
"""Bytes of a key and its place, at most."""
_MARSHAL_VERSION: Final = 2
"""Version of marshal whose bytes depend on values alone."""
_point_values = attrgetter(*(field.name for field in fields(Point)))
_mark_values = attrgetter(*(field.name for field in fields(Mark)))
_LINE_FIELDS: Final = [
    field.name for field in fields(EvolutionLine) if field.name not in {"points", "marks"}
]
_line_values = attrgetter(*_LINE_FIELDS)


class FigureCache:
    """Figures by the content of their lines; the least recently used ones are dropped."""

    def __init__(
        self, render: Callable[[EvolutionLine, str], str], max_bytes: int = MAX_BYTES
    ) -> None:
        self._render = render
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self.size = 0

    def figure(self, line: EvolutionLine, identity: str) -> Markup:
        """Return a line as an element of a page; `identity` is unique in the page."""
        key = _digest(line, identity)
        compressed = self._kept.get(key)
        if compressed is not None:
            self._kept.move_to_end(key)
            return Markup(zlib.decompress(compressed).decode())  # noqa: S704 - a template wrote it
        text = self._render(line, identity)
        self._store_figure(key, zlib.compress(text.encode(), 1))
        return Markup(text)  # noqa: S704 - as above

    def _store_figure(self, key: bytes, compressed: bytes) -> None:
        self._kept[key] = compressed
        self.size += len(compressed) + _ENTRY_BYTES
        while self.size > self._max_bytes:
            _, evicted = self._kept.popitem(last=False)
            self.size -= len(evicted) + _ENTRY_BYTES


def _digest(line: EvolutionLine, identity: str) -> bytes:
    """Return a digest of all that a figure depends on."""
    point_values, mark_values = (
        [_point_values(point) for point in line.points],
        [_mark_values(mark) for mark in line.marks],
    )
    content = (identity, _line_values(line), point_values, mark_values)
    return sha256(dumps(content, _MARSHAL_VERSION)).digest()
