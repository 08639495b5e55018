"""The input of the diagnosis of a degraded SLO: the SLO itself, its load, its surroundings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus, Diagnosis
from sluicegate.api.versions import Version
from sluicegate.policy.diagnosis.traffic_load import Load, load_of
from sluicegate.policy.diagnosis.upstream_release import ReleaseResponse
from sluicegate.policy.model.excluded_blocks import spans_of
from sluicegate.policy.model.observed import Facts, Observed, Portfolio
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.slo_health import gauge_slo
from sluicegate.policy.slo_health.confirmation import CONFIRMING_EVALUATIONS
from sluicegate.policy.slo_health.current_level import MIN_BLOCKS, PresentLevel, present_level
from sluicegate.policy.slo_health.data_quality import evidence_since
from sluicegate.policy.slo_health.ratio_slo import SloResult
from sluicegate.policy.slo_health.serving_skew import SkewComparison
from sluicegate.slo.blocks import Series
from sluicegate.stats.canary_duration import warmed_up

BORNE_OUT: Final = frozenset(
    {
        Reason.RECENT_RELEASE,
        Reason.SERVING_SKEW,
        Reason.CODE_NOT_DATA,
        Reason.AVAILABILITY_ONLY,
        Reason.MODEL_TOO_SLOW,
        Reason.MODEL_DECAY,
    }
)
"""Causes that are only named once the newest events are bad."""

CONFIRMATION_BLOCKS: Final = 12
"""Blocks from the first bad one on in which a remedy waits for the confirmation of an upstream's state."""


@dataclass(frozen=True, slots=True)
class Symptoms:
    """Input of the diagnosis.

    Attributes
    ----------
    worst : the SLO that is asked about. degraded : all SLOs that are degraded.
    facts, portfolio : what the cluster and the neighbours say.
    problem : why the newest block couldn't be read.
    stable : the stable version. can_return : whether a version before it is kept that would be
        a remedy.
    age_seconds : how long it has been stable. day_seconds : a day; a younger release is suspect.
    load : requests a pod, now and normally; None while the normal load is unknown.
    present : level of the newest events.
    releases : function that returns how the SLO responds to releases of upstreams, those that it
        follows first; only the check that asks for it pays for it.
    now : in seconds.
    skew : the stable version on the rows of a training, against what it does live; None without both.
    earlier : diagnosis of this degradation as status has it; None before the first.
    confirmation_end : time until which an upstream's state is awaited, in seconds.
    """

    worst: SloResult
    degraded: tuple[SloResult, ...]
    facts: Facts
    portfolio: Portfolio
    problem: Reason | None
    stable: Version
    can_return: bool
    age_seconds: int
    day_seconds: int
    load: Load | None
    present: PresentLevel
    releases: Callable[[], tuple[ReleaseResponse, ...]]
    now: int
    skew: SkewComparison | None = None
    earlier: Diagnosis | None = None
    confirmation_end: int = 0


def confirmation_end(terms: Terms, degraded_since: int | None, facts: Facts) -> int:
    """Return the time until which a remedy waits for the confirmation of an upstream's state, in seconds.

    It is counted from the first bad block of the degraded SLO, so an upstream whose state changes
    repeatedly prolongs no wait.

    Parameters
    ----------
    degraded_since : end of the first bad block, in seconds; None when that isn't known.
    """
    if degraded_since is None:
        return 0
    own = CONFIRMATION_BLOCKS * terms.block_seconds
    return degraded_since + max(own, (CONFIRMING_EVALUATIONS + 1) * facts.upstream_block_seconds)


def load_now(terms: Terms, stable: Version, observed: Observed, result: SloResult) -> Load | None:
    """Return the load of a pod by this SLO's counts, and the load that it has served well."""
    series = observed.counts(stable.version, result.terms.name)
    if series is None:
        return None
    return load_of(
        result.terms,
        series,
        result.baseline,
        now=observed.block,
        since=warmed_up(stable.promotion_time, terms.block_seconds),
        block_seconds=terms.block_seconds,
        pods=observed.facts.pods,
        pod_seconds=observed.pod_seconds,
    )


def present_now(
    terms: Terms,
    status: DataProductStatus,
    observed: Observed,
    result: SloResult,
    *,
    stable: Version,
) -> PresentLevel:
    """Return the SLO's present level, by its events or its gauge's values."""
    name = result.terms.name
    record = status.engine.slo(name)
    since = evidence_since(terms, status, stable, result.terms)
    if result.terms.gauge is not None:
        values = observed.means(stable.version, name)
        return gauge_slo.present_level(
            result.terms, values, result.baseline, now=observed.block, since=since
        )
    series = observed.counts(stable.version, name) or Series()
    spans = spans_of(record, terms.block_seconds)
    was_bad = _verdict_before(status)
    if was_bad is False and status.diagnosis is not None:
        # What was bad before it was as accepted again is no evidence that it is bad again.
        good = status.diagnosis.diagnosis_time // terms.block_seconds - MIN_BLOCKS
        since = max(since, min(good, observed.block - MIN_BLOCKS))
    return present_level(
        result.terms,
        series.without(spans) if spans else series,
        result.baseline,
        now=observed.block,
        since=since,
        spans=spans,
        earlier=was_bad,
        dispersion=result.drift.phi if result.drift is not None else 1.0,
    )


def _verdict_before(status: DataProductStatus) -> bool | None:
    """Return whether the newest events were bad at an earlier block of this degradation; None if unknown.

    The diagnosis in status is of one SLO, so it says nothing where several are degraded.
    """
    degraded = sum(record.degraded for record in status.engine.slos.values())
    if status.diagnosis is None or degraded != 1:
        return None
    if status.diagnosis.cause in BORNE_OUT:
        return True
    return False if status.diagnosis.cause == Reason.RECOVERED else None
