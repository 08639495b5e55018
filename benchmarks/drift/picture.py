"""Picture of the accuracy over the rows of a stream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.drift.run import WORST_ROWS
from benchmarks.drift.streams import STREAM_START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLOURS: Final = ("#0b62d6", "#e4572e", "#8a8a8a", "#17916a", "#8d4bbb")
_RC: Final[Any] = {  # its own type lists all keys
    "svg.hashsalt": "drift", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
}  # fmt: skip


def picture(courses: Mapping[str, Sequence[float]], drifts: Sequence[int] = ()) -> str:
    """Return an SVG with a line for each policy: the share of right answers in each 1,000 rows.

    Parameters
    ----------
    courses : shares from 0 to 1, by policy. drifts : rows at which the concept changes.
    """
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for colour, (policy, course) in zip(COLOURS, courses.items(), strict=False):
            rows = [STREAM_START + (place + 0.5) * WORST_ROWS for place in range(len(course))]
            shares = [100 * share for share in course]
            axes.plot(rows, shares, color=colour, linewidth=1.4, label=policy)
        for row in drifts:
            axes.axvline(row, color="#555555", linewidth=1, linestyle="--")
        axes.set_xlabel("row of the stream")
        axes.set_ylabel("right, % of 1,000 rows")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
        figure.legend(loc="outside right upper", frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return "\n".join(line.rstrip() for line in svg[svg.index("<svg") :].splitlines()) + "\n"
