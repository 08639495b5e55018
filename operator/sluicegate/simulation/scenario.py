"""Input of a simulation: a policy from a DataProduct, and assumed traffic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import ceil, sqrt
from statistics import quantiles
from typing import Final

from sluicegate.api.slos import CanaryEvidence
from sluicegate.policy.canary.label_pace import LabelPace
from sluicegate.policy.canary.rollout_defaults import derived_steps, longest_seconds
from sluicegate.policy.model.consumers import ConsumerTerms
from sluicegate.policy.model.terms import SloTerms, Terms

LONGEST_CANARY_BLOCK_SECONDS: Final = 60
MIN_PAST_BLOCKS: Final = 30
SECONDS_PER_HOUR: Final = 3_600
BLOCKS_PER_DECILE: Final = 10
MAX_BLOCKS: Final = 1_000


class SimulatedVerdict(IntEnum):
    """State of a simulated canary: running, or how it ended."""

    RUNNING = 0
    PROMOTED = 1
    ROLLED_BACK = 2
    INCONCLUSIVE = 3


@dataclass(frozen=True, slots=True)
class Imagined:
    """Assumed traffic and bad ratios of both versions.

    Attributes
    ----------
    requests_per_minute, labels_per_minute : events of both arms together, on average.
    stable_bad, candidate_bad : true bad ratios by SLO; one that isn't named is 0.
    burst_correlation : ρ between two events of one arm and canary block (beta-binomial).
    daily_swing : s; traffic and stable's bad ratio go by 1 + s·sin(2πt/day + φ).
    label_delay_minutes : delay of the feedback on a prediction.
    consumer_outcomes_per_minute : outcomes and events of each consumer, of both arms together.
    """

    requests_per_minute: float
    labels_per_minute: float = 0.0
    stable_bad: Mapping[str, float] = field(default_factory=dict)
    candidate_bad: Mapping[str, float] = field(default_factory=dict)
    burst_correlation: float = 0.0
    daily_swing: float = 0.0
    label_delay_minutes: float = 0.0
    consumer_outcomes_per_minute: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Simulated events of one SLO.

    Attributes
    ----------
    margin : δ. evidence : whether it must favour a candidate.
    stable_bad, candidate_bad : true bad ratios.
    per_block : mean number of events of both arms in a canary block.
    delay : blocks until an event is counted.
    lag : blocks after the start that aren't evidence, as their good events are delayed.
    allowed_bad : share that the objective allows; 1 without one.
    answers : whether its events are labels.
    """

    name: str
    margin: float
    evidence: CanaryEvidence
    stable_bad: float
    candidate_bad: float
    per_block: float
    delay: int = 0
    lag: int = 0
    allowed_bad: float = 1.0
    answers: bool = False

    @property
    def labels(self) -> bool:
        """Return whether the events are labels."""
        return self.answers and self.per_block > 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A policy and its traffic, in canary blocks.

    Attributes
    ----------
    streams : by SLO that counts; a gauge has no counts and is left out.
    steps : shares in percent.
    block_seconds : of a canary block.
    blocks : number that fits into the rollout's longest duration.
    burst_correlation, daily_swing : as in `Imagined`.
    waits : the duration depends on the labels, so an SLO with any must favour the candidate.
    """

    streams: tuple[Stream, ...]
    steps: tuple[int, ...]
    block_seconds: int
    blocks: int
    burst_correlation: float = 0.0
    daily_swing: float = 0.0
    waits: bool = False

    @property
    def past_blocks(self) -> int:
        """Return the number of stable's blocks before the canary that the judge reads."""
        return max(ceil(SECONDS_PER_HOUR / self.block_seconds), MIN_PAST_BLOCKS)

    @property
    def minutes_per_block(self) -> float:
        """Return the length of a canary block."""
        return self.block_seconds / 60


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """Results of all runs: shares with standard errors, and minutes until the end."""

    promoted: float
    rolled_back: float
    inconclusive: float
    median_minutes: float
    p90_minutes: float
    runs: int

    def standard_error(self, verdict_share: float) -> float:
        """Return the standard error of a share of the runs."""
        return sqrt(verdict_share * (1 - verdict_share) / self.runs)

    def to_json(self) -> dict[str, object]:
        """Return the JSON document of the command."""
        shares = {
            "promoted": self.promoted,
            "rolledBack": self.rolled_back,
            "inconclusive": self.inconclusive,
        }
        return {
            **{name: round(verdict_share, 6) for name, verdict_share in shares.items()},
            "medianMinutes": round(self.median_minutes, 3),
            "p90Minutes": round(self.p90_minutes, 3),
            "runs": self.runs,
            "standardErrors": {
                name: round(self.standard_error(verdict_share), 6)
                for name, verdict_share in shares.items()
            },
        }


def without_gauges(product_terms: Terms) -> Terms:
    """Remove gauges from the terms, as their values aren't rates."""
    return replace(
        product_terms, slos=tuple(slo for slo in product_terms.slos if slo.gauge is None)
    )


def scenario_of(
    product_terms: Terms, imagined_ratios: Imagined, consumers: Iterable[ConsumerTerms] = ()
) -> Scenario:
    """Return the canary of a product with this traffic.

    Requests are events of availability and latency, labels of all other SLOs. A rollout of days has
    longer blocks, so that there are no more than `MAX_BLOCKS`. SLOs of consumers have streams of their own.
    Steps and duration that the spec leaves out are derived from this traffic, as the operator does.
    """
    if not product_terms.are_steps_given:
        steps = derived_steps(product_terms, imagined_ratios.requests_per_minute / 60)
        product_terms = replace(product_terms, steps=steps)
    max_seconds = product_terms.max_duration_seconds
    if not product_terms.is_duration_given:
        max_seconds, _ = longest_seconds(
            product_terms,
            _label_paces(product_terms, imagined_ratios),
            {},
            request_paces=_request_paces(product_terms, imagined_ratios),
        )
    seconds = min(product_terms.block_seconds, LONGEST_CANARY_BLOCK_SECONDS)
    seconds *= ceil(max_seconds / seconds / MAX_BLOCKS)
    minutes = seconds / 60
    stream_list = []
    for slo in product_terms.deciding:
        if slo.gauge is not None:
            continue
        by_requests = slo.definition.about_requests
        rate = (
            imagined_ratios.requests_per_minute
            if by_requests
            else imagined_ratios.labels_per_minute
        )
        delay = 0 if by_requests else ceil(imagined_ratios.label_delay_minutes / minutes)
        stream_list.append(
            Stream(
                slo.name,
                slo.margin,
                slo.canary_evidence,
                imagined_ratios.stable_bad.get(slo.name, 0.0),
                imagined_ratios.candidate_bad.get(slo.name, 0.0),
                rate * minutes,
                delay,
                ceil(slo.lag_blocks * product_terms.block_seconds / seconds),
                1.0 if slo.allowed_bad_ratio is None else slo.allowed_bad_ratio,
                answers=slo.measures_quality,
            )
        )
    stream_list += [
        _stream_of_consumer(case.terms, imagined_ratios, minutes)
        for consumer in consumers
        for case in consumer.cases
    ]
    return Scenario(
        tuple(stream_list),
        product_terms.steps,
        seconds,
        max_seconds // seconds,
        imagined_ratios.burst_correlation,
        imagined_ratios.daily_swing,
        waits=not product_terms.is_duration_given,
    )


def _stream_of_consumer(slo: SloTerms, imagined_ratios: Imagined, minutes: float) -> Stream:
    return Stream(
        slo.name,
        slo.margin,
        slo.canary_evidence,
        imagined_ratios.stable_bad.get(slo.name, 0.0),
        imagined_ratios.candidate_bad.get(slo.name, 0.0),
        imagined_ratios.consumer_outcomes_per_minute * minutes,
        ceil(imagined_ratios.label_delay_minutes / minutes),
        answers=True,
    )


def _label_paces(product_terms: Terms, imagined_ratios: Imagined) -> dict[str, LabelPace]:
    rate, delay = imagined_ratios.labels_per_minute / 60, imagined_ratios.label_delay_minutes * 60
    return {
        slo.name: LabelPace(rate, imagined_ratios.stable_bad.get(slo.name, 0.0), delay)
        for slo in product_terms.deciding
        if slo.measures_quality and rate > 0
    }


def _request_paces(product_terms: Terms, imagined_ratios: Imagined) -> dict[str, LabelPace]:
    rate = imagined_ratios.requests_per_minute / 60
    return {
        slo.name: LabelPace(rate, imagined_ratios.stable_bad.get(slo.name, 0.0))
        for slo in product_terms.deciding
        if slo.definition.about_requests and rate > 0
    }


def summarise_verdicts(verdicts: list[SimulatedVerdict], minutes: list[float]) -> SimulationSummary:
    """Compute shares of the verdicts, and median and 90th percentile of the minutes of all runs."""
    runs = len(verdicts)
    deciles = (
        quantiles(minutes, n=BLOCKS_PER_DECILE, method="inclusive") if runs > 1 else minutes * 9
    )
    return SimulationSummary(
        verdicts.count(SimulatedVerdict.PROMOTED) / runs,
        verdicts.count(SimulatedVerdict.ROLLED_BACK) / runs,
        verdicts.count(SimulatedVerdict.INCONCLUSIVE) / runs,
        deciles[4],
        deciles[8],
        runs,
    )
