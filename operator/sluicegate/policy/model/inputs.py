"""The inputs of a decision, built by the same rules for the operator and for a replay.

The two differ in where blocks are stored and in the facts that they have about a cluster. This module alone
decides which series count, under which name, and when the newest block can't be judged. No field has a
default, so both callers set all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sluicegate.api.engine import TimeInterval
from sluicegate.api.markets import OTHER_MARKET
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProductSpec
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, Release, Version, VersionBase
from sluicegate.policy.model.consumers import ConsumerReading
from sluicegate.policy.model.observed import (
    LOOK_BACK_SECONDS,
    NO_VALUES,
    CanaryBlock,
    Facts,
    ManualRequest,
    Observed,
    PartyAnswer,
    Portfolio,
    RolloutProgress,
    ShadowResult,
    TrainingResult,
)
from sluicegate.slo.blocks import BlockValue, Quality, Series
from sluicegate.slo.by_market import market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.indicators import INDICATORS
from sluicegate.slo.label_ages import LabelsByAge
from sluicegate.slo.means import Means
from sluicegate.slo.pod_seconds import POD_SECONDS
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import MIN_BLOCKS
from sluicegate.stats.paired import Pairs

EARLIER_SECONDS: Final = 7 * 86_400
"""How long the blocks of a version are kept after it ended: what the pace of labels is taken from."""
MAX_EARLIER: Final = 3
"""Of so many versions at most, the newest."""
_UNREADABLE: Final = frozenset({Quality.UNAVAILABLE, Quality.LOW_COVERAGE, Quality.MISSING})


# ---- which versions and series ----------------------------------------------------------------
def is_compared(status: DataProductStatus) -> bool:
    """Return whether two versions are compared: stable with a candidate, or on probation."""
    return in_canary(status) or status.probation is not None


def in_canary(status: DataProductStatus) -> bool:
    """Return whether a candidate exists that isn't parked, so that canary blocks are read."""
    return status.candidate is not None and not status.candidate.is_parked


def begin_of_canary_blocks(candidate: Candidate, canary_seconds: int) -> int:
    """Return the begin of canary blocks, in seconds: an hour before the rollout, at least thirty blocks."""
    return candidate.start_time - max(LOOK_BACK_SECONDS, MIN_BLOCKS * canary_seconds)


def other_versions(status: DataProductStatus, now: float) -> Iterator[VersionBase]:
    """Yield the candidate, and the versions that ended in the last week: rates include all versions.

    Parameters
    ----------
    now : in seconds.
    """
    live = [version for version in (status.stable, status.candidate) if version is not None]
    yield from live[1:] if status.stable is not None else live
    names = {version.version for version in live}
    ended_versions = [
        past_version
        for past_version in status.history
        if past_version.version not in names and now - past_version.end_time < EARLIER_SECONDS
    ]
    yield from ended_versions[:MAX_EARLIER]


# ---- what was measured ------------------------------------------------------------------------
class BlockStore(Protocol):
    """Read access to the stored blocks of a product."""

    @property
    def newest(self) -> int:
        """Index of the newest complete block."""

    @property
    def canary_seconds(self) -> int:
        """Return the length of a canary block."""

    def name(self, version: VersionBase) -> str:
        """Return the name of a version in this store, which distinguishes revisions."""

    def series(self, version: VersionBase, name: str) -> Series | None:
        """Return the blocks of a version's series; None if it isn't stored."""

    def means(self, version: VersionBase, slo: str) -> Means | None:
        """Return the block means of a gauge; None if they aren't stored."""

    def canary_blocks(self) -> tuple[CanaryBlock, ...]:
        """Return the blocks of both arms, built by `canary_block`; none without a candidate."""

    def lost(self) -> Mapping[str, DecisionReason]:
        """Return why the newest block of single SLOs couldn't be read."""

    def outage(self) -> DecisionReason | None:
        """Return why a product's newest block couldn't be read; None if it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measurements of a product, with the field names of `Observed`."""

    block: int
    problem: DecisionReason | None
    problems: Mapping[str, DecisionReason]
    series: Mapping[str, Mapping[str, Series]]
    gauges: Mapping[str, Mapping[str, Means]]
    markets: Mapping[str, Mapping[str, Series]]
    pod_seconds: Series | None
    canary_blocks: tuple[CanaryBlock, ...]
    canary_block_seconds: int


def read_measurements(
    spec: DataProductSpec, status: DataProductStatus, store: BlockStore, now: float
) -> Measured:
    """Return a product's stored measurements in the form that a decision at `now`, in seconds, reads."""
    stable = status.stable
    lost_slos = store.lost()
    return Measured(
        block=store.newest,
        problem=_problem(spec, lost_slos, store),
        problems=lost_slos,
        series={} if stable is None else _series(spec, status, stable, store, now=now),
        gauges={} if stable is None else _gauges(spec, stable, store),
        markets={} if stable is None else _markets(spec, stable, store),
        pod_seconds=None
        if stable is None or spec.serving.autoscaling is None
        else store.series(stable, POD_SECONDS),
        canary_blocks=store.canary_blocks(),
        canary_block_seconds=store.canary_seconds,
    )


def _problem(
    spec: DataProductSpec, lost_slos: Mapping[str, DecisionReason], store: BlockStore
) -> DecisionReason | None:
    """Return why the newest block can't be judged; None if it can."""
    if not spec.slos:
        return None
    if all(slo.name in lost_slos for slo in spec.slos):
        unavailable = DecisionReason.PROMETHEUS_UNAVAILABLE
        return unavailable if unavailable in lost_slos.values() else next(iter(lost_slos.values()))
    return store.outage()


def _series(
    spec: DataProductSpec,
    status: DataProductStatus,
    stable: Version,
    store: BlockStore,
    *,
    now: float,
) -> dict[str, dict[str, Series]]:
    """Return the blocks by version and SLO; the stable version is listed under its own name.

    Client errors of the stable version are among them while versions are compared; other versions
    are left out until they have had a request.
    """
    counted_slos = [slo.name for slo in spec.slos if slo.indicator.gauge is None]
    series = {}
    for version in other_versions(status, now):
        kept_series = _stored_series(store, version, counted_slos)
        if any(slo_series.had_events for slo_series in kept_series.values()):
            series[store.name(version)] = kept_series
    compared_series = [CLIENT_ERRORS] if is_compared(status) else []
    series[stable.version] = _stored_series(store, stable, [*counted_slos, *compared_series])
    return series


def _stored_series(
    store: BlockStore, version: VersionBase, names: Iterable[str]
) -> dict[str, Series]:
    results = ((name, store.series(version, name)) for name in names)
    return {name: series for name, series in results if series is not None}


def _gauges(
    spec: DataProductSpec, stable: Version, store: BlockStore
) -> dict[str, dict[str, Means]]:
    """Return the block means of the stable version's gauges, by version and SLO."""
    names = [slo.name for slo in spec.slos if slo.indicator.gauge is not None]
    results = ((name, store.means(stable, name)) for name in names)
    return {stable.version: {name: means for name, means in results if means is not None}}


def _markets(
    spec: DataProductSpec, stable: Version, store: BlockStore
) -> dict[str, dict[str, Series]]:
    """Return the blocks of the stable version, by SLO and market, for markets with events."""
    blocks: dict[str, dict[str, Series]] = {}
    for slo in spec.slos if spec.serving.market else ():
        if INDICATORS[slo.indicator.kind].market_label(slo.name, slo.indicator):
            for market in (*spec.markets, OTHER_MARKET):
                series = store.series(stable, market_series(slo.name, market))
                if series is not None and series.had_events:
                    blocks.setdefault(slo.name, {})[market] = series
    return blocks


# ---- canary blocks ----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateReading:
    """A candidate's counts in one block, with the field names of `CanaryBlock`."""

    counts: Mapping[str, BlockValue]
    up: bool
    gauges: Mapping[str, tuple[float, float]]
    sent: tuple[int, int] | None
    pairs: Pairs | None


def canary_block(
    end: int,
    requests: BlockValue,
    stable: Mapping[str, BlockValue],
    candidate: CandidateReading | None,
    *,
    ages: LabelsByAge | None,
) -> CanaryBlock:
    """Return a block with the counts of candidate and stable.

    Parameters
    ----------
    end : in seconds. requests : what it says of all requests of the stable version.
    stable : what it says of each SLO of that version.
    candidate : the same of the candidate; None for a block before its rollout.
    ages : labels of both versions by their age; None where they aren't counted so.
    """
    quality = requests.quality if requests.quality in _UNREADABLE else Quality.COUNTED
    if candidate is None:
        return CanaryBlock(end, quality, stable, NO_VALUES, ages=ages)
    return CanaryBlock(
        end=end,
        quality=quality,
        stable=stable,
        candidate=candidate.counts,
        canary_up=candidate.up,
        gauges=candidate.gauges,
        sent=candidate.sent,
        pairs=candidate.pairs,
        ages=ages,
    )


# ---- all of it --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The observation except for measurements, with the field names of `Observed`."""

    desired: Release | None
    withheld: str
    desired_evaluation: Mapping[str, Count]
    training: TrainingResult | None
    shadow: ShadowResult | None
    facts: Facts
    rollout: RolloutProgress | None
    portfolio: Portfolio
    requests: tuple[ManualRequest, ...]
    answers: tuple[PartyAnswer, ...]
    consumers: tuple[str, ...]
    absences: tuple[TimeInterval, ...]
    consumer_readings: tuple[ConsumerReading, ...]
    term: int
    absent_consumers: tuple[str, ...] = ()


def observed(blocks: Measured, surroundings: Surroundings) -> Observed:
    """Return the input of a decision."""
    return Observed(
        block=blocks.block,
        problem=blocks.problem,
        problems=blocks.problems,
        series=blocks.series,
        gauges=blocks.gauges,
        markets=blocks.markets,
        pod_seconds=blocks.pod_seconds,
        canary_blocks=blocks.canary_blocks,
        canary_block_seconds=blocks.canary_block_seconds,
        desired=surroundings.desired,
        withheld=surroundings.withheld,
        desired_evaluation=surroundings.desired_evaluation,
        training=surroundings.training,
        shadow=surroundings.shadow,
        facts=surroundings.facts,
        rollout=surroundings.rollout,
        portfolio=surroundings.portfolio,
        requests=surroundings.requests,
        answers=surroundings.answers,
        consumers=surroundings.consumers,
        absent_consumers=surroundings.absent_consumers,
        consumer_readings=surroundings.consumer_readings,
        absences=surroundings.absences,
        term=surroundings.term,
    )
