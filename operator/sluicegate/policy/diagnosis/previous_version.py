"""Whether a rollback to the previous version would be a remedy, and not a larger harm.

The previous version was replaced for a reason. It is no remedy if it was no better, or if it was
worse in another service level by more than the present regression. Harms are compared in
points of bad events, by what each version was counted with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion
from sluicegate.policy.model.terms import SloTerms
from sluicegate.policy.slo_health.baseline import ratio_of, usable
from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.policy.slo_health.current_level import accepted_limit
from sluicegate.policy.slo_health.ratio_slo import SPOKEN_HOURS, SloResult
from sluicegate.slo.blocks import Series
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, newcombe
from sluicegate.views.numbers import percent

UNCOUNTED_HARM: Final = 0.5
"""What a service level counts for that was degraded and has no counts, a gauge say: only a version
of which most events are bad is the greater harm."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What is bad now, in the service level at hand.

    Attributes
    ----------
    result : its verdict.
    counts : what the version that serves was counted with: the windows that show the present, then
        what decided.
    """

    result: SloResult
    counts: tuple[Count, ...]

    @property
    def ratio(self) -> float | None:
        """The bad share of the shortest window with events enough; None when none has them."""
        least = self.result.terms.least_events()
        return next((count.ratio for count in self.counts if count.total >= least), None)

    @property
    def limit(self) -> float:
        """What it may be."""
        limit = accepted_limit(self.result.terms, self.result.baseline)
        return 0.0 if limit is None else limit


def harm_of(result: SloResult, series: Series | None, *, now: int) -> Harm:
    """Return what is bad at block `now`, from the blocks of the version that serves."""
    day = result.terms.calendar.blocks(SPOKEN_HOURS)
    lengths = (CONFIRMING_EVALUATIONS, result.terms.recent, day)
    windows = [] if series is None else [series.window(now, length) for length in lengths]
    decided = [one for one in (result.drift and result.drift.after,) if one]
    if result.reading is not None:
        decided.append(result.reading.long)
    return Harm(result, tuple(count for count in (*windows, *decided) if count.total))


def objection(
    status: DataProductStatus, before: PastVersion, harm: Harm, results: Iterable[SloResult]
) -> str:
    """Return why the version before is no remedy: a clause; empty when it is one.

    Parameters
    ----------
    results : verdicts on all service levels of the version that serves.
    """
    slo, name = harm.result.terms, before.release.version
    gain = _gauge_gain(before, harm) if slo.gauge else _gain(status, before, harm)
    if isinstance(gain, str):
        return gain
    worse = [
        (loss, text)
        for result in results
        if result.terms.deciding and result.terms.name != slo.name
        for loss, text in [_loss(status, before, result)]
        if loss > 0
    ]
    loss, text = max(worse, default=(0.0, ""))
    if not worse or loss < gain:
        return ""
    return f"{name} is no remedy: {text}"


def record(status: DataProductStatus, version: PastVersion, slo: SloTerms) -> Count | None:
    """Return how a version before did last in a service level; None when it wasn't counted."""
    if slo.name in version.record:
        return version.record[slo.name]
    probation = status.probation
    if probation is not None and probation.against == version.version:
        held = usable(status.engine.probation_baselines.get(slo.name), slo)
    else:
        held = usable(version.baseline.get(slo.name), slo)
    return held.count if held is not None and held.count.total else None


def _gain(status: DataProductStatus, before: PastVersion, harm: Harm) -> float | str:
    """Points of bad events that a return takes away here, or why it takes away none."""
    slo, name = harm.result.terms, before.release.version
    if harm.ratio is None:
        return f"whether {name} does better in {slo.name} is unknown: there are too few events now"
    then = record(status, before, slo)
    if then is None:
        gain = harm.ratio - harm.limit
        is_known = slo.name not in before.degraded or gain >= UNCOUNTED_HARM
        return gain if is_known else f"{name} is no remedy: {slo.name} was degraded with it, too"
    gain = harm.ratio - ratio_of(then)
    if gain > 0 and (harm.result.probation or _surely_worse(harm, then)):
        return gain
    return (
        f"{name} isn't known to do better in {slo.name}: {percent(1 - ratio_of(then))}"
        f" ({then.total:,} events) before it was replaced, {percent(1 - harm.ratio)} now"
    )


def _surely_worse(harm: Harm, then: Count) -> bool:
    """Return whether a window is worse than the version before was, by more than chance."""
    phi = 1.0 if harm.result.baseline is None else harm.result.baseline.phi
    return any(
        newcombe((count.bad / phi, count.total / phi), then, Z95).lower > 0
        for count in harm.counts
        if count.total
    )


def _gauge_gain(before: PastVersion, harm: Harm) -> float | str:
    """Return 0 if the version before does better in a gauge, else why that isn't known; a gauge's harm compares with no other."""
    result, name = harm.result, before.release.version
    gauge, slo = result.terms.gauge, result.terms
    assert gauge is not None
    then = usable(before.baseline.get(slo.name), slo)
    fallen = slo.name in before.degraded
    if then is not None and result.gauge is not None:
        fallen |= gauge.sign * then.mean <= gauge.sign * result.gauge
    return f"{name} isn't known to do better in {slo.name}" if fallen else 0.0


def _loss(status: DataProductStatus, before: PastVersion, result: SloResult) -> tuple[float, str]:
    """Points by which the version before was worse in another service level, and how to say it.

    Differences within the margin of a canary count for nothing.
    """
    slo, name = result.terms, before.release.version
    then = None if slo.gauge else record(status, before, slo)
    if then is None:
        text = f"{slo.name} was degraded when {name} was replaced"
        return (UNCOUNTED_HARM, text) if slo.name in before.degraded else (0.0, "")
    now = _level(status, result)
    if now is None:
        now = 0.0 if slo.allowed_bad is None else slo.allowed_bad
        if slo.allowed_bad is None and slo.name not in before.degraded:
            return 0.0, ""
    loss = ratio_of(then) - now
    text = (
        f"its {slo.name} was at {percent(1 - ratio_of(then))} ({then.total:,} events) when it was"
        f" replaced, against {percent(1 - now)}"
    )
    return (loss, text) if loss > slo.margin else (0.0, "")


def _level(status: DataProductStatus, result: SloResult) -> float | None:
    """Return the bad share of the version that serves: at present, or as it was accepted."""
    assert status.stable is not None
    own = usable(status.stable.baseline.get(result.terms.name), result.terms)
    accepted = None if own is None or own.count.total == 0 else ratio_of(own.count)
    if result.recent.total >= result.terms.least_events(accepted):
        return result.recent.ratio
    return accepted
