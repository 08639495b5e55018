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
from sluicegate.policy.slo_health.baseline import ratio_of, usable_baseline
from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.policy.slo_health.current_level import accepted_limit
from sluicegate.policy.slo_health.ratio_slo import SPOKEN_HOURS, SloResult
from sluicegate.slo.blocks import Series
from sluicegate.stats.counts import Count
from sluicegate.stats.intervals import Z95, newcombe_difference
from sluicegate.views.numbers import percent

UNCOUNTED_HARM: Final = 0.5
"""What a service level counts for that was degraded and has no counts, a gauge say: only a version
of which most events are bad is the greater harm."""


@dataclass(frozen=True, slots=True)
class Harm:
    """The present bad share of a degraded SLO, and its allowed limit.

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
        """Return the bad share of the shortest window with enough events; None without one."""
        least = self.result.terms.min_events()
        return next((count.ratio for count in self.counts if count.total >= least), None)

    @property
    def limit(self) -> float:
        """Return the limit of the bad share."""
        limit = accepted_limit(self.result.terms, self.result.baseline)
        return 0.0 if limit is None else limit


def harm_of(result: SloResult, series: Series | None, *, now: int) -> Harm:
    """Return the harm at block `now`, from the stable version's blocks."""
    day = result.terms.calendar.blocks(SPOKEN_HOURS)
    lengths = (CONFIRMING_EVALUATIONS, result.terms.recent, day)
    windows = [] if series is None else [series.window(now, length) for length in lengths]
    decided_counts = [one for one in (result.drift and result.drift.count_after,) if one]
    if result.reading is not None:
        decided_counts.append(result.reading.long)
    return Harm(result, tuple(count for count in (*windows, *decided_counts) if count.total))


def objection(
    status: DataProductStatus, before: PastVersion, harm: Harm, results: Iterable[SloResult]
) -> str:
    """Return why a rollback to the previous version is no remedy, as a clause; empty if it is one.

    Parameters
    ----------
    results : verdicts on all service levels of the version that serves.
    """
    slo, name = harm.result.terms, before.release.version
    gain = _gauge_gain(before, harm) if slo.gauge else _gain(status, before, harm)
    if isinstance(gain, str):
        return gain
    worse_slos = [
        (loss, text)
        for result in results
        if result.terms.deciding and result.terms.name != slo.name
        for loss, text in [_loss(status, before, result)]
        if loss > 0
    ]
    loss, text = max(worse_slos, default=(0.0, ""))
    if not worse_slos or loss < gain:
        return ""
    return f"{name} is no remedy: {text}"


def record(status: DataProductStatus, version: PastVersion, slo: SloTerms) -> Count | None:
    """Return the last results of a previous version in an SLO; None without a count."""
    if slo.name in version.record:
        return version.record[slo.name]
    probation = status.probation
    if probation is not None and probation.against == version.version:
        probation_baseline = usable_baseline(status.engine.probation_baselines.get(slo.name), slo)
    else:
        probation_baseline = usable_baseline(version.baseline.get(slo.name), slo)
    return (
        probation_baseline.count
        if probation_baseline is not None and probation_baseline.count.total
        else None
    )


def _gain(status: DataProductStatus, before: PastVersion, harm: Harm) -> float | str:
    """Return the bad share that a rollback removes for this SLO, or why it removes none."""
    slo, name = harm.result.terms, before.release.version
    if harm.ratio is None:
        return f"whether {name} does better in {slo.name} is unknown: there are too few events now"
    count_then = record(status, before, slo)
    if count_then is None:
        gain = harm.ratio - harm.limit
        is_known = slo.name not in before.degraded or gain >= UNCOUNTED_HARM
        return gain if is_known else f"{name} is no remedy: {slo.name} was degraded with it, too"
    gain = harm.ratio - ratio_of(count_then)
    if gain > 0 and (harm.result.probation or _surely_worse(harm, count_then)):
        return gain
    return (
        f"{name} isn't known to do better in {slo.name}: {percent(1 - ratio_of(count_then))}"
        f" ({count_then.total:,} events) before it was replaced, {percent(1 - harm.ratio)} now"
    )


def _surely_worse(harm: Harm, count_then: Count) -> bool:
    """Return whether a window is worse than the previous version, beyond chance."""
    phi = 1.0 if harm.result.baseline is None else harm.result.baseline.phi
    return any(
        newcombe_difference((count.bad / phi, count.total / phi), count_then, Z95).lower > 0
        for count in harm.counts
        if count.total
    )


def _gauge_gain(before: PastVersion, harm: Harm) -> float | str:
    """Return 0 if the previous version is better in a gauge, else why that isn't known; a gauge's harm isn't comparable with a share's."""
    result, name = harm.result, before.release.version
    gauge, slo = result.terms.gauge, result.terms
    assert gauge is not None
    baseline_then = usable_baseline(before.baseline.get(slo.name), slo)
    fallen = slo.name in before.degraded
    if baseline_then is not None and result.gauge is not None:
        fallen |= gauge.sign * baseline_then.mean <= gauge.sign * result.gauge
    return f"{name} isn't known to do better in {slo.name}" if fallen else 0.0


def _loss(status: DataProductStatus, before: PastVersion, result: SloResult) -> tuple[float, str]:
    """Return the points by which the previous version was worse in another SLO, and the text.

    Differences within the margin of a canary count for nothing.
    """
    slo, name = result.terms, before.release.version
    count_then = None if slo.gauge else record(status, before, slo)
    if count_then is None:
        text = f"{slo.name} was degraded when {name} was replaced"
        return (UNCOUNTED_HARM, text) if slo.name in before.degraded else (0.0, "")
    now = _level(status, result)
    if now is None:
        now = 0.0 if slo.allowed_bad_ratio is None else slo.allowed_bad_ratio
        if slo.allowed_bad_ratio is None and slo.name not in before.degraded:
            return 0.0, ""
    loss = ratio_of(count_then) - now
    text = (
        f"its {slo.name} was at {percent(1 - ratio_of(count_then))} ({count_then.total:,} events) when it was"
        f" replaced, against {percent(1 - now)}"
    )
    return (loss, text) if loss > slo.margin else (0.0, "")


def _level(status: DataProductStatus, result: SloResult) -> float | None:
    """Return the bad share of the stable version: present, or as accepted."""
    assert status.stable is not None
    own_baseline = usable_baseline(status.stable.baseline.get(result.terms.name), result.terms)
    accepted = (
        None
        if own_baseline is None or own_baseline.count.total == 0
        else ratio_of(own_baseline.count)
    )
    if result.recent_count.total >= result.terms.min_events(accepted):
        return result.recent_count.ratio
    return accepted
