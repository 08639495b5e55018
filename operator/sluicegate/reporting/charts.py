"""Charts of a report, as SVG in the page itself. Needs the extra `report`."""

import io
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from sluicegate.reporting.facts import SloFacts
from sluicegate.reporting.words import market

GOOD, BAD, INK, FAINT = "#1b6e53", "#b3261e", "#1d2733", "#9aa5b1"
WIDTH: Final = 4.8
"""Width of a chart in inches: two fit beside each other on a page of A4."""
RC: Final[Any] = {  # its own type lists all keys
    "svg.hashsalt": "sluicegate", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.size": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip
"""Style of all charts."""


def markets_chart(slo: SloFacts) -> str:
    """Draw the share of good events by market; markets with too few events are hatched."""
    with mpl.rc_context(RC):
        rows = [row for row in slo.markets if row.count.total][:12][::-1]
        figure = Figure(figsize=(WIDTH, 0.35 + 0.24 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        colours = {"Met": GOOD, "Missed": BAD, "Unknown": "white"}
        for place, row in enumerate(rows):
            share = 100 * (1 - row.count.bad / row.count.total)
            unknown = row.state == "Unknown"
            axes.barh(
                place, share, color=colours[row.state], edgecolor=FAINT if unknown else "none",
                linewidth=0.6, height=0.7, hatch="////" if unknown else None,
            )  # fmt: skip
            axes.text(103, place, market(slo, row), va="center", fontsize=8)
        if slo.objective is not None:
            axes.axvline(100 * slo.objective, color=INK, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(rows)), [row.market for row in rows])
        axes.set_xlim(0, 100)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return as_svg(figure)


def as_svg(figure: Figure) -> str:
    """Return the figure as an element of a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
