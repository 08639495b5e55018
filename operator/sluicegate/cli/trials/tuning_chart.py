"""The picture of `sluicegate tune`: each SLO's hours beside its objectives, and canaries by margin.

It needs the extra `report`.
"""

import io
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluicegate.simulation.tuning import Tuning

GOOD, BAD, INK, FAINT = "#1b6e53", "#b3261e", "#1d2733", "#9aa5b1"
RC: Final[Any] = {  # its own type lists all keys
    "svg.hashsalt": "sluicegate", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.size": 9, "axes.edgecolor": FAINT, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip
"""Style of the picture."""
ROW_INCHES: Final = 1.9
MAX_TICKS: Final = 8
DAY: Final = 86_400


def tuning_chart(tunings: list[Tuning]) -> str:
    """Return an SVG with a row for each SLO."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9.6, ROW_INCHES * len(tunings)), layout="constrained")
        rows = figure.subplots(len(tunings), 2, squeeze=False, width_ratios=(3, 1))
        for (left_edge, right), tuning in zip(rows, tunings, strict=True):
            _draw_history(left_edge, tuning)
            _draw_canaries(right, tuning)
        return _as_svg(figure)


def _draw_history(axes: Axes, tuning: Tuning) -> None:
    times = [at for at, _ in tuning.hours]
    shares = [100 * share for _, share in tuning.hours]
    proposed = next(
        (tuned_value.value for tuned_value in tuning.objectives if tuned_value.proposed), None
    )
    axes.plot(times, shares, color=INK, linewidth=0.9, label="good, by hour")
    for value, style, word in (
        (tuning.objective, "-", "objective"),
        (proposed, "--", "proposed objective"),
    ):
        if value is not None:
            axes.axhline(100 * value, color=GOOD, linewidth=1, linestyle=style, label=word)
    if alarms := tuning.now.alarms:
        axes.scatter(
            list(alarms), [min(shares)] * len(alarms),
            color=BAD, marker="^", s=26, zorder=3, label="alarm as it is",
        )  # fmt: skip
    days = range(-(-times[0] // DAY), times[-1] // DAY + 1)
    labelled = days[:: len(days) // MAX_TICKS + 1]
    axes.set_xticks([day * DAY for day in labelled], [_date(day * DAY) for day in labelled])
    axes.set_title(tuning.slo, loc="left", fontsize=9)
    axes.set_ylabel("good, %")
    axes.legend(fontsize=7, frameon=False, loc="lower left", ncols=4)
    _plain(axes)


def _draw_canaries(axes: Axes, tuning: Tuning) -> None:
    margins = [margin for margin in tuning.margins if isfinite(margin.canary)]
    for place, margin in enumerate(margins):
        minutes = margin.canary / 60
        axes.bar(place, minutes, color=GOOD if margin.proposed else FAINT, width=0.7)
        axes.text(place, minutes, f"{minutes:.0f}", ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(margins)), [f"{100 * margin.value:g}" for margin in margins])
    axes.set_xlabel("maxRegression, points")
    axes.set_ylabel("canary, min")
    axes.margins(y=0.15)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%m-%d")


def _as_svg(figure: Figure) -> str:
    """Return the figure as an element of a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
