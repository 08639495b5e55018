"""The timeline on a terminal: rows that stay, and one line below them that lives."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo.watch import percent

if TYPE_CHECKING:
    from typing import TextIO

HEADINGS = ("time", "product", "state", "accuracy", "decision and why")
WIDTHS = (6, 15, 9, 16)
MIN_WIDTH, MAX_WIDTH = 90, 160
QUIET_SECONDS = 20.0  # where nothing can be drawn over, a line each so often shows that it lives
CLEAR = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the timeline: `now` and `baseline` are accuracies."""

    at: float
    product: str
    state: str
    text: str
    now: float | None = None
    baseline: float | None = None


@dataclass(slots=True)
class Terminal:
    """Prints rows as they come; on a real terminal the last line is drawn over."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    _drawn: bool = False
    _spoke: float = 0.0

    def say(self, text: str = "") -> None:
        """Print a line outside the timeline."""
        self._print(text)

    def headings(self) -> None:
        """Print the names of the columns."""
        width = _width()
        self._print(_line(HEADINGS[:4], HEADINGS[4]))
        self._print("─" * width)

    def row(self, row: Row) -> None:
        """Print one row; a long text continues below its column."""
        cells = (clock(row.at), row.product, row.state or "–", compared(row.now, row.baseline))
        indent = _line(("", "", "", ""), "")
        first, *rest = textwrap.wrap(row.text, max(_width() - len(indent), 40)) or [""]
        self._print(_line(cells, first))
        for line in rest:
            self._print(indent + line)

    def live(self, text: str) -> None:
        """Print the present state, which the next output overwrites."""
        if self.out.isatty():
            self.out.write(CLEAR + text[: shutil.get_terminal_size().columns - 1])
            self.out.flush()
            self._drawn = True
        elif time.monotonic() - self._spoke > QUIET_SECONDS:
            self._print(text)

    def _print(self, text: str) -> None:
        print((CLEAR if self._drawn else "") + text, file=self.out, flush=True)
        self._drawn, self._spoke = False, time.monotonic()


def clock(seconds: float) -> str:
    """Return `3:07`: minutes and seconds since the story began."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


def compared(now: float | None, baseline: float | None) -> str:
    """Return `77.2 % / 91.8 %`: an accuracy against its baseline."""
    if now is None and baseline is None:
        return "–"
    return f"{percent(now)} / {percent(baseline)}"


def _line(cells: tuple[str, ...], text: str) -> str:
    padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
    return f"{padded}  {text}"


def _width() -> int:
    return min(max(shutil.get_terminal_size((120, 24)).columns, MIN_WIDTH), MAX_WIDTH)
