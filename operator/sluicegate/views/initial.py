"""The distance of an SLO from its performance at the first acceptance, and since that of the stable version; no API. Pure.

Each promotion accepts a new baseline, so a chain of slightly worse versions is only visible beside the first one.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.stats.intervals import Z_INTERVAL, newcombe_difference
from sluicegate.views.numbers import change_numbers, events, percent, points

SINCE_FIRST_ACCEPTANCE: Final = "since the first acceptance"


@dataclass(frozen=True, slots=True)
class InitialDistance:
    """How far an SLO is below its first accepted baseline, in shares of good events.

    Attributes
    ----------
    version : the version that the baseline was accepted with.
    accepted, accepted_total : share of good events then, and the number of events.
    ratio, total : those of the last decision.
    drop : positive where it got worse. lower, upper : its 95 % interval.
    """

    slo: str
    version: str
    accepted: float
    accepted_total: int
    ratio: float
    total: int
    drop: float
    lower: float
    upper: float

    @property
    def text(self) -> str:
        """Return the distance in words: worse by 4 points [3, 5]."""
        return distance_text(self.drop, self.lower, self.upper)

    @property
    def then(self) -> str:
        """Return the first baseline in words: v1: 91.8 %, n=10,500."""
        return f"{self.version}: {percent(self.accepted)}, {events(self.accepted_total)}"


def initial_distance(
    slo: str,
    version: str,
    *,
    initial_counts: tuple[int, int],
    present_counts: tuple[int, int],
    phi: float = 1.0,
) -> InitialDistance | None:
    """Compute the distance from the first baseline; None without events then or now.

    Parameters
    ----------
    initial_counts, present_counts : (bad, total). phi : dispersion of the baseline's blocks, by which both are divided.
    """
    (initial_bad, initial_total), (present_bad, present_total) = initial_counts, present_counts
    if not initial_total or not present_total:
        return None
    candidate_arm, stable_arm = (
        (bad / phi, total / phi) for bad, total in (present_counts, initial_counts)
    )
    difference = newcombe_difference(candidate_arm, stable_arm, Z_INTERVAL)
    return InitialDistance(
        slo, version, 1 - initial_bad / initial_total, initial_total, 1 - present_bad / present_total, present_total,
        difference.estimate, difference.lower, difference.upper,
    )  # fmt: skip


def distance_text(drop: float, lower: float | None, upper: float | None) -> str:
    """Return a distance in words, with its interval; one that includes 0 is no evidence of a distance."""
    return " ".join(filter(None, distance_parts(drop, lower, upper)))


def distance_parts(drop: float, lower: float | None, upper: float | None) -> tuple[str, str]:
    """Return a distance in words, and its interval; empty for one without an interval.

    The interval is of the amount by which it is worse or better; without evidence, of a gain.
    """
    comparison = "worse by" if drop > 0 else "better by"
    if lower is None or upper is None:
        return f"{comparison} {points(abs(drop))}", ""
    size_text, interval_text = change_numbers(-drop, -upper, -lower)
    if lower <= 0 <= upper:
        return "no evidence of a change", interval_text
    return f"{comparison} {size_text} points", interval_text
