"""What a version brought: the change of an SLO from stable to candidate, in numbers and words; no API. Pure.

A gain is positive: the candidate's share of good events minus stable's in the same blocks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sluicegate.stats.intervals import Z_INTERVAL, newcombe_difference, quantile
from sluicegate.views.numbers import change_numbers, compared_counts, points_digits, points_text

_LATENCY_KIND: Final = "latency"
"""Kind of the indicator whose share of good events is of answers in time: it improves or worsens."""
_ANY_MARKET_ERROR: Final = 0.05
"""Share of equal versions of which a fall is named in any market."""
_MAX_NAMED_FALLS: Final = 3
"""Falls of one version in markets that a sentence has the numbers of."""


@dataclass(frozen=True, slots=True)
class Lift:
    """The change of one SLO, in shares of good events.

    Attributes
    ----------
    candidate, stable : (bad, total) of both versions.
    gain : share of the candidate minus share of stable. lower, upper : its 95 % interval.
    indicator : kind of the SLO's indicator.
    markets : the same change in each market, by name.
    hold_out : whether it is of the rows of a hold-out instead of events of the canary.
    phi : dispersion, by which both counts are divided for an interval.
    """

    slo: str
    candidate: tuple[int, int]
    stable: tuple[int, int]
    gain: float
    lower: float
    upper: float
    indicator: str = ""
    markets: Mapping[str, "Lift"] = field(default_factory=dict, hash=False)
    hold_out: bool = False
    phi: float = 1.0

    @property
    def is_proved(self) -> bool:
        """Return whether the interval doesn't include 0."""
        return self.lower > 0 or self.upper < 0

    @property
    def arms(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return (bad, total) of candidate and stable, as independent events."""
        return _independent_arms(self.candidate, self.stable, self.phi)


def lift_of(
    slo: str,
    candidate: tuple[int, int],
    stable: tuple[int, int],
    *,
    phi: float = 1.0,
    indicator: str = "",
    markets: Mapping[str, Sequence[int]] | None = None,
    hold_out: bool = False,
) -> Lift | None:
    """Compute a candidate's change of one SLO; None without events of both versions.

    Parameters
    ----------
    phi : dispersion, by which both counts are divided for the interval.
    hold_out : whether the counts are of the rows of a hold-out.
    markets : bad events and all of the candidate, then those of stable, by market.
    """
    if not candidate[1] or not stable[1]:
        return None
    difference = newcombe_difference(*_independent_arms(candidate, stable, phi), Z_INTERVAL)
    by_market = {
        market: lift
        for market, (bad_count, total, stable_bad_count, stable_total) in (markets or {}).items()
        if (
            lift := lift_of(
                f"{slo} in {market}",
                (bad_count, total),
                (stable_bad_count, stable_total),
                phi=phi,
                indicator=indicator,
            )
        )
    }
    return Lift(
        slo,
        candidate,
        stable,
        -difference.estimate,
        -difference.upper,
        -difference.lower,
        indicator,
        by_market,
        hold_out,
        phi,
    )


def _independent_arms(
    candidate: tuple[int, int], stable: tuple[int, int], phi: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    return (candidate[0] / phi, candidate[1] / phi), (stable[0] / phi, stable[1] / phi)


def headline_lift(lifts: Iterable[Lift], cause: str = "") -> Lift | None:
    """Return the change that a rollout is about; None for a version without a gain.

    Parameters
    ----------
    cause : the SLO that its training is for; without one, it is the largest proved change.
    """
    lift_list = list(lifts)
    cause_lift = next((lift for lift in lift_list if lift.slo == cause), None)
    proved_lifts = [lift for lift in lift_list if lift.is_proved]
    return cause_lift or max(proved_lifts, key=lambda lift: abs(lift.gain), default=None)


def lift_text(lift: Lift) -> str:
    """Return a change as text, e.g. accuracy rose by 15.0 points [14.3, 15.7]; with a note for hold-out rows."""
    text = f"{lift.slo} {change_text(lift.gain, lift.lower, lift.upper, indicator=lift.indicator)}"
    return f"on the hold-out {text}" if lift.hold_out else text


def change_text(gain: float, lower: float, upper: float, *, indicator: str = "") -> str:
    """Return a change of a share of good events in words, without the name of the SLO.

    An interval that includes 0 proves no change; neither does it prove that there is none.

    Parameters
    ----------
    gain : positive for the better. lower, upper : its interval.
    """
    rise_word, fall_word = (
        ("improved", "worsened") if indicator == _LATENCY_KIND else ("rose", "fell")
    )
    size_text, interval_text = change_numbers(gain, lower, upper)
    if lower > 0 or upper < 0:
        verb = rise_word if gain > 0 else fall_word
        return f"{verb} by {size_text} points {interval_text}"
    return f"shows no proved change: {size_text} points {interval_text}"


def market_texts(lifts: Iterable[Lift], main: Lift | None = None) -> tuple[str, ...]:
    """Return the change in each market as text, for the main SLO or for every SLO.

    Those in which it fell most come first: accuracy in AT fell by 3.0 points [1.0, 5.1]: 87.0 % (n=900) against …
    """
    by_market = [
        market for lift in lifts if main is None or lift == main for market in lift.markets.values()
    ]
    sorted_lifts = sorted(by_market, key=lambda lift: (lift.gain, lift.slo))
    return tuple(f"{lift_text(lift)}: {arms_text(lift)}" for lift in sorted_lifts)


def fallen_markets(lifts: Iterable[Lift]) -> dict[tuple[str, str], Lift]:
    """Return the change of each (SLO, market) that fell beyond chance, the largest fall first.

    All of them share an error of 5 % (Bonferroni): of equal versions, any is returned in at most one of
    twenty pairs of arms, however many markets there are.
    """
    cells = {
        (lift.slo, market): market_lift
        for lift in lifts
        for market, market_lift in lift.markets.items()
    }
    z_score = quantile(1 - _ANY_MARKET_ERROR / (2 * max(len(cells), 1)))
    fallen = (
        (cell, lift)
        for cell, lift in cells.items()
        if newcombe_difference(*lift.arms, z_score).lower > 0
    )
    return dict(sorted(fallen, key=lambda cell_and_lift: (cell_and_lift[1].gain, cell_and_lift[0])))


def falls_text(fallen_lifts: Sequence[Lift]) -> str:
    """Return falls in markets as text, the first three with their numbers; empty without one."""
    texts = [lift_text(lift) for lift in fallen_lifts[:_MAX_NAMED_FALLS]]
    unnamed_falls = len(fallen_lifts) - len(texts)
    texts += [f"{unnamed_falls} more fell"] if unnamed_falls else []
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def lift_document(lift: Lift) -> dict[str, object]:
    """Return a change with its interval, and that of each market, for JSON."""
    document: dict[str, object] = {"gain": lift.gain, "interval": [lift.lower, lift.upper]}
    if lift.hold_out:
        document["holdOut"] = True
    if lift.markets:
        document["markets"] = {
            market: {"gain": market_lift.gain, "interval": [market_lift.lower, market_lift.upper]}
            for market, market_lift in lift.markets.items()
        }
    return document


def short_lift(lift: Lift) -> str:
    """Return a change for a table: accuracy +15.0 [14.3, 15.7], or hold-out accuracy +15.0 [14.3, 15.7]."""
    digits = points_digits(lift.lower, lift.upper)
    lower_text, upper_text = (points_text(bound, digits) for bound in (lift.lower, lift.upper))
    name = f"hold-out {lift.slo}" if lift.hold_out else lift.slo
    return f"{name} {points_text(lift.gain, digits, signed=True)} [{lower_text}, {upper_text}]"


def brought_text(lifts: Sequence[Lift], main: Lift | None) -> str:
    """Return a version's main change and its falls in markets for a table; empty without any."""
    falls = fallen_markets(lifts).values()
    return "; ".join(short_lift(lift) for lift in (main, *falls) if lift is not None)


def arms_text(lift: Lift, reference: str = "stable's") -> str:
    """Return the shares of good events of both versions: 92.0 % (n=699) against stable's 77.0 % (n=700)."""
    candidate_text, stable_text = compared_counts(lift.candidate, lift.stable)
    return f"{candidate_text} against {reference} {stable_text}"
