"""What a version brought: the change of an SLO from stable to candidate, in numbers and words; no API. Pure.

A gain is positive: the candidate's share of good events minus stable's in the same blocks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sluicegate.stats.intervals import Z_INTERVAL, newcombe_difference
from sluicegate.views.numbers import events, interval_digits, percent

_IN_TIME: Final = "latency"
"""Kind of the indicator whose share of good events is of answers in time: it improves or worsens."""


@dataclass(frozen=True, slots=True)
class Lift:
    """The change of one SLO, in shares of good events.

    Attributes
    ----------
    candidate, stable : (bad, total) of both versions.
    gain : share of the candidate minus share of stable. lower, upper : its 95 % interval.
    indicator : kind of the SLO's indicator.
    markets : the same change in each market, by name.
    """

    slo: str
    candidate: tuple[int, int]
    stable: tuple[int, int]
    gain: float
    lower: float
    upper: float
    indicator: str = ""
    markets: Mapping[str, "Lift"] = field(default_factory=dict, hash=False)

    @property
    def is_proved(self) -> bool:
        """Whether the interval doesn't include 0."""
        return self.lower > 0 or self.upper < 0


def lift_of(
    slo: str,
    candidate: tuple[int, int],
    stable: tuple[int, int],
    *,
    phi: float = 1.0,
    indicator: str = "",
    markets: Mapping[str, Sequence[int]] | None = None,
) -> Lift | None:
    """Compute a candidate's change of one SLO; None without events of both versions.

    Parameters
    ----------
    phi : dispersion, by which both counts are divided for the interval.
    markets : bad events and all of the candidate, then those of stable, by market.
    """
    if not candidate[1] or not stable[1]:
        return None
    candidate_arm, stable_arm = ((bad / phi, total / phi) for bad, total in (candidate, stable))
    worse = newcombe_difference(candidate_arm, stable_arm, Z_INTERVAL)
    by_market = {
        market: lift
        for market, (bad, total, stable_bad, stable_total) in (markets or {}).items()
        if (
            lift := lift_of(
                f"{slo} in {market}",
                (bad, total),
                (stable_bad, stable_total),
                phi=phi,
                indicator=indicator,
            )
        )
    }
    return Lift(
        slo, candidate, stable, -worse.estimate, -worse.upper, -worse.lower, indicator, by_market
    )


def headline(lifts: Iterable[Lift], cause: str = "") -> Lift | None:
    """Return the change that a rollout is about; None for a version without a gain.

    Parameters
    ----------
    cause : the SLO that its training is for; without one, it is the largest proved change.
    """
    lift_list = list(lifts)
    of_cause = next((lift for lift in lift_list if lift.slo == cause), None)
    proved = [lift for lift in lift_list if lift.is_proved]
    return of_cause or max(proved, key=lambda lift: abs(lift.gain), default=None)


def lift_text(lift: Lift) -> str:
    """Return a change in words: accuracy rose by 15.0 points [14.3, 15.7]."""
    return f"{lift.slo} {change_text(lift.gain, lift.lower, lift.upper, indicator=lift.indicator)}"


def change_text(gain: float, lower: float, upper: float, *, indicator: str = "") -> str:
    """Return a change of a share of good events in words, without the name of the SLO.

    An interval that includes 0 proves no change; neither does it prove that there is none.

    Parameters
    ----------
    gain : positive for the better. lower, upper : its interval.
    """
    rose, fell_word = ("improved", "worsened") if indicator == _IN_TIME else ("rose", "fell")
    digits = _digits(lower, upper)
    if lower > 0 or upper < 0:
        verb = rose if gain > 0 else fell_word
        low, high = sorted((abs(lower), abs(upper)))
        return f"{verb} by {_points(abs(gain), digits)} points [{_points(low, digits)}, {_points(high, digits)}]"
    return (
        f"shows no proved change: {_signed(gain, digits)} points"
        f" [{_signed(lower, digits)}, {_signed(upper, digits)}]"
    )


def market_texts(lifts: Iterable[Lift], main: Lift | None = None) -> tuple[str, ...]:
    """Return the change in each market in words: that of the main SLO, or without one of each.

    Those in which it fell most come first: accuracy in AT fell by 3.0 points [1.0, 5.1]: 87.0 % (n=900) against …
    """
    by_market = [
        market for lift in lifts if main is None or lift == main for market in lift.markets.values()
    ]
    ordered = sorted(by_market, key=lambda lift: (lift.gain, lift.slo))
    return tuple(f"{lift_text(lift)}: {arms_text(lift)}" for lift in ordered)


def lift_document(lift: Lift) -> dict[str, object]:
    """Return a change with its interval, and that of each market, for JSON."""
    document: dict[str, object] = {"gain": lift.gain, "interval": [lift.lower, lift.upper]}
    if lift.markets:
        document["markets"] = {
            market: {"gain": one.gain, "interval": [one.lower, one.upper]}
            for market, one in lift.markets.items()
        }
    return document


def short_lift(lift: Lift) -> str:
    """Return a change for a table: accuracy +15.0 [14.3, 15.7]."""
    digits = _digits(lift.lower, lift.upper)
    low, high = (_points(one, digits) for one in (lift.lower, lift.upper))
    return f"{lift.slo} {_signed(lift.gain, digits)} [{low}, {high}]"


def arms_text(lift: Lift, against: str = "stable's") -> str:
    """Return the shares of good events of both versions: 92.0 % (n=699) against stable's 77.0 % (n=700)."""
    candidate_text, stable_text = (_arm(*arm) for arm in (lift.candidate, lift.stable))
    return f"{candidate_text} against {against} {stable_text}"


def _arm(bad: int, total: int) -> str:
    return f"{percent(1 - bad / total)} ({events(total)})"


def _digits(lower: float, upper: float) -> int:
    """Return the digits of points that an interval's width allows and that distinguish its bounds."""
    width = upper - lower
    first = 1 if width >= 0.01 else 2 if width >= 0.001 else 3  # noqa: PLR2004 - digits by size
    return interval_digits(100 * lower, 100 * upper, first)


def _points(share: float, digits: int) -> str:
    text = f"{100 * share:.{digits}f}"
    return text.removeprefix("-") if not float(text) else text


def _signed(share: float, digits: int) -> str:
    text = _points(share, digits)
    return text if text.startswith("-") or not float(text) else f"+{text}"
