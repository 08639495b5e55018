"""Output for terminals: tables like kubectl's, colours if enabled, without control characters of objects."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from sluicegate.views.plain_text import clean_text
from sluicegate.views.words import STATES, Tone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NONE: Final = "<none>"
GAP: Final = "  "
READABLE: Final = 28
"""Columns to which a column of `shortened` is cut before columns are left out."""
COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "grey": "90", "bold": "1"}
OF_TONE: Final = {Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "red", Tone.NONE: "grey"}
"""Colours of tones; each state is a word too, so that no information is in the colour alone."""


def coloured(stream: TextIO) -> bool:
    """Return whether colours are enabled: on a terminal, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, on: bool) -> str:
    """Give text a colour of COLOURS."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if on and colour else text


def width_of(stream: TextIO) -> int:
    """Return the number of columns of the terminal; 0 for other outputs, which aren't cut."""
    if not stream.isatty():
        return 0
    try:
        return int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int = 0,
    dispensable: Sequence[str] = (),
    shortened: Sequence[str] = (),
    colours: bool = False,
    headers: bool = True,
) -> str:
    """Format rows in columns, as kubectl does.

    Parameters
    ----------
    width : columns of the terminal, 0 for any. If the table is too wide, columns of `shortened` are
        cut to READABLE, the widest first, then columns of `dispensable` are left out in their order,
        then the columns of `shortened` and the last are cut; names are never cut.
    headers : whether the first line has the names of the columns.
    """
    kept_columns = list(range(len(header)))
    cells = [[clean_text(cell) or NONE for cell in row] for row in rows]
    lines = [list(header), *cells] if headers else cells
    if not lines:
        return ""

    if width:
        long = [column for column in kept_columns if header[column] in shortened]
        _cut_columns(
            lines,
            kept_columns,
            {column: max(READABLE, len(header[column])) for column in long},
            width,
        )
        for name in dispensable:
            if name in header and _total(_widths(lines, kept_columns)) > width:
                kept_columns.remove(header.index(name))
        long = [column for column in kept_columns if column in long or column == kept_columns[-1]]
        _cut_columns(lines, kept_columns, {column: len(header[column]) for column in long}, width)
    sizes = _widths(lines, kept_columns)
    return "".join(
        _line(
            [line[column] for column in kept_columns], sizes, colours=colours and number >= headers
        )
        for number, line in enumerate(lines)
    )


def _widths(lines: Sequence[Sequence[str]], kept_columns: Sequence[int]) -> list[int]:
    return [max(columns(line[column]) for line in lines) for column in kept_columns]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _cut_columns(
    lines: Sequence[list[str]], kept_columns: Sequence[int], least: Mapping[int, int], width: int
) -> None:
    """Cut the widest columns until the table fits, each to no less than its minimum width."""
    sizes = dict(zip(kept_columns, _widths(lines, kept_columns), strict=True))
    rooms = {column: sizes[column] for column in least}
    for _ in range(_total(list(sizes.values())) - width):
        wider = [column for column in least if rooms[column] > least[column]]
        if not wider:
            break
        rooms[max(wider, key=rooms.__getitem__)] -= 1
    for line in lines:
        for column, column_width in rooms.items():
            line[column] = cut(line[column], column_width)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table with the command's own texts, header included: nothing is cut or coloured."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield GAP.join(map(str.ljust, row, widths)).rstrip()


def _line(cells: Sequence[str], sizes: Sequence[int], *, colours: bool) -> str:
    parts = []
    for cell, size in zip(cells, sizes, strict=True):
        filling = " " * (size - columns(cell))
        word = cell.rpartition(" ")[2]
        parts.append(paint(cell, _colour_of(word), on=colours) + filling)
    return GAP.join(parts).rstrip() + "\n"


def _colour_of(word: str) -> str:
    if word == NONE:
        return "grey"
    state = STATES.get(word)
    return OF_TONE[state.tone] if state is not None else ""


def columns(text: str) -> int:
    """Return the columns that a terminal needs for a text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata  # noqa: PLC0415 - most text needs none of it

    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def cut(text: str, columns_left: int) -> str:
    """Cut a text to this many columns; `…` replaces the rest."""
    if columns(text) <= columns_left:
        return text
    while text and columns(text) > columns_left - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def print_progress(text: str) -> None:
    """Print progress and warnings on standard error, so that the output can be piped."""
    print(text, file=sys.stderr, flush=True)
