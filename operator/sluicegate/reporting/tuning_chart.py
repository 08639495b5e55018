"""The picture of `sluicegate tune`: each SLO's hours beside its objectives, and canaries by margin.

Needs the extra `report`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sluicegate.reporting.charts import BAD, FAINT, GOOD, INK, RC, as_svg

ROW_INCHES: Final = 1.9
MOST_TICKS: Final = 8
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Panel:
    """One SLO.

    Attributes
    ----------
    hours : end, in seconds since 1970, and share of good events of each hour.
    objective, proposed : the SLO's own, and the one that is proposed. alarms : of the SLO's own.
    margins : seconds of a canary by maxRegression. margin : the one that is proposed.
    """

    name: str
    hours: tuple[tuple[int, float], ...]
    objective: float | None
    proposed: float | None
    alarms: tuple[int, ...]
    margins: tuple[tuple[float, float], ...]
    margin: float | None


def tuning_chart(panels: list[Panel]) -> str:
    """An SVG with a row for each SLO."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(9.6, ROW_INCHES * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(3, 1))
        for (left, right), panel in zip(rows, panels, strict=True):
            _draw_history(left, panel)
            _draw_canaries(right, panel)
        return as_svg(figure)


def _draw_history(axes: Axes, panel: Panel) -> None:
    times = [at for at, _ in panel.hours]
    shares = [100 * share for _, share in panel.hours]
    axes.plot(times, shares, color=INK, linewidth=0.9, label="good, by hour")
    for value, style, word in (
        (panel.objective, "-", "objective"),
        (panel.proposed, "--", "proposed objective"),
    ):
        if value is not None:
            axes.axhline(100 * value, color=GOOD, linewidth=1, linestyle=style, label=word)
    if panel.alarms:
        axes.scatter(
            list(panel.alarms), [min(shares)] * len(panel.alarms),
            color=BAD, marker="^", s=26, zorder=3, label="alarm as it is",
        )  # fmt: skip
    days = range(-(-times[0] // DAY), times[-1] // DAY + 1)
    shown = days[:: len(days) // MOST_TICKS + 1]
    axes.set_xticks([day * DAY for day in shown], [_date(day * DAY) for day in shown])
    axes.set_title(panel.name, loc="left", fontsize=9)
    axes.set_ylabel("good, %")
    axes.legend(fontsize=7, frameon=False, loc="lower left", ncols=4)
    _plain(axes)


def _draw_canaries(axes: Axes, panel: Panel) -> None:
    known = [(margin, seconds / 60) for margin, seconds in panel.margins if isfinite(seconds)]
    for place, (margin, minutes) in enumerate(known):
        axes.bar(place, minutes, color=GOOD if margin == panel.margin else FAINT, width=0.7)
        axes.text(place, minutes, f"{minutes:.0f}", ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(known)), [f"{100 * margin:g}" for margin, _ in known])
    axes.set_xlabel("maxRegression, points")
    axes.set_ylabel("canary, min")
    axes.margins(y=0.15)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d")
