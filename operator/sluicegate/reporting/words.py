"""How a report says things: changes, shares, budgets, in words that hold up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sluicegate.policy.model.formatting import duration, events
from sluicegate.stats.evolution import Evolution, PeriodChange

if TYPE_CHECKING:
    from sluicegate.reporting.delivery import Delivery
    from sluicegate.reporting.facts import ActionFacts, SloFacts
    from sluicegate.stats.counts import Count

_SAYS: Final = {
    PeriodChange.WORSE: "worse by {size} points [{low}, {high}]",
    PeriodChange.BETTER: "better by {size} points [{low}, {high}]",
    PeriodChange.NO_EVIDENCE: "no evidence of a change [{low}, {high}]",
    PeriodChange.TOO_FEW: "too few events",
}
_SMALL: Final = 0.1
"""Percentage points, below which more digits are needed."""
_NINES: Final = (0.99, 0.999)
"""Shares from which on another digit matters."""
BANDS: Final = (
    (0.0, "Exhausted"),
    (0.25, "Unhealthy"),
    (0.5, "Needs attention"),
    (0.75, "Observe"),
)
"""Names of what is left of an error budget, up to each share."""


def change(one: Evolution) -> str:
    """A change in percentage points with its 95 % interval, as bad events of all events."""
    sign = -1 if one.change is PeriodChange.BETTER else 1
    low, high = sorted((sign * one.lower, sign * one.upper))
    return _SAYS[one.change].format(
        size=points(abs(one.estimate)), low=points(low), high=points(high)
    )


def points(share: float) -> str:
    """A share in percentage points, with as many digits as it needs."""
    value = share * 100
    return f"{value:.1f}" if abs(value) >= _SMALL or not value else f"{value:.3f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash where there is none."""
    if share is None:
        return "–"
    return f"{share * 100:.{sum(share >= bound for bound in _NINES) + 1}f} %"


def budget(left: float | None) -> str:
    """What is left of an error budget, and how that is called."""
    if left is None:
        return "–"
    name = next((word for bound, word in BANDS if left <= bound), "Healthy")
    if left < 0:
        return f"overspent by {-left * 100:.0f} % ({name})"
    return f"{left * 100:.0f} % left ({name})"


def subject(slo: SloFacts) -> str:
    """What an SLO is called."""
    if slo.threshold_milliseconds is None:
        return slo.name
    return f"{slo.name} (within {slo.threshold_milliseconds} ms)"


def counted(count: Count) -> str:
    """A share of good events with its size, e.g. 88.1 % (n=9,064); a dash without any."""
    if not count.total:
        return "–"
    return f"{percent(1 - count.bad / count.total)} ({events(count.total)})"


def delivery(one: Delivery) -> list[tuple[str, str]]:
    """DORA's five, by name, and how many promotions were of challengers."""
    some = one.promotions
    return [
        ("Promotion frequency", f"{some} in the period, {one.per_week:.2g} a week"),
        ("Lead time", _time(one.lead_seconds, "from a retraining or a commit to its promotion")),
        ("Change-fail rate", _of(one.failed, some, "rolled back after the promotion")),
        ("Recovery time", _time(one.recovery_seconds, "from such a promotion to its rollback")),
        ("Rework rate", _of(one.reworked, some, "made necessary by a decayed model or a rollback")),
        ("Challengers", _of(one.challengers, some, "trained although no service level was missed")),
    ]


def _time(seconds: float | None, what: str) -> str:
    return "–" if seconds is None else f"median {duration(seconds)} {what}"


def _of(some: int, every: int, what: str) -> str:
    return f"{some} of {every} {what}" if every else "–"


def action(one: ActionFacts) -> str:
    """An action, with what became of it."""
    return f"{one.title} – {one.owner} – due {one.due_date} – {one.state}"


def milliseconds(seconds: float | None) -> str:
    """A latency estimate."""
    return "–" if seconds is None else f"{seconds * 1000:,.0f} ms"
