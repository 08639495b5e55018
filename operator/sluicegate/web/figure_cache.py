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

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of all kept figures, compressed: those of about ninety products with ledgers of three months."""
_ENTRY_BYTES: Final = 200
"""Bytes of a key and its place, at most."""
_WITHOUT_REFERENCES: Final = 2
"""Version of marshal whose bytes depend on values alone."""
_point = attrgetter(*(field.name for field in fields(Point)))
_mark = attrgetter(*(field.name for field in fields(Mark)))
_OTHERS: Final = [
    field.name for field in fields(EvolutionLine) if field.name not in {"points", "marks"}
]
_others = attrgetter(*_OTHERS)


class FigureCache:
    """Figures by the content of their lines; the least recently used ones are dropped."""

    def __init__(
        self, render: Callable[[EvolutionLine, str], str], most_bytes: int = MOST_BYTES
    ) -> None:
        self._render = render
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self.size = 0

    def figure(self, line: EvolutionLine, identity: str) -> Markup:
        """Return a line as an element of a page; `identity` is unique in the page."""
        key = _digest(line, identity)
        packed = self._kept.get(key)
        if packed is not None:
            self._kept.move_to_end(key)
            return Markup(zlib.decompress(packed).decode())  # noqa: S704 - a template wrote it
        text = self._render(line, identity)
        self._keep(key, zlib.compress(text.encode(), 1))
        return Markup(text)  # noqa: S704 - as above

    def _keep(self, key: bytes, packed: bytes) -> None:
        self._kept[key] = packed
        self.size += len(packed) + _ENTRY_BYTES
        while self.size > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            self.size -= len(dropped) + _ENTRY_BYTES


def _digest(line: EvolutionLine, identity: str) -> bytes:
    """Return a digest of all that a figure depends on."""
    points, marks = [_point(point) for point in line.points], [_mark(mark) for mark in line.marks]
    content = (identity, _others(line), points, marks)
    return sha256(dumps(content, _WITHOUT_REFERENCES)).digest()
