"""All that is known of a candidate, and which of it a promotion rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sluicegate.api.slos import CanaryEvidence, OnMarketWorse
from sluicegate.policy.canary.gauge_evidence import GaugeEvidence
from sluicegate.policy.canary.label_pace import SLOW_SECONDS, Silences
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.slo_health.client_errors import is_implicit
from sluicegate.slo.blocks import Quality, SilentBlocks
from sluicegate.slo.label_ages import AGE_BOUNDS_SECONDS
from sluicegate.stats.counts import Count
from sluicegate.stats.dispersion import StableScatter, independent_share
from sluicegate.stats.intervals import newcombe_difference, quantile
from sluicegate.stats.late_labels import OddsRatio
from sluicegate.stats.paired import PairedEvidence
from sluicegate.stats.paired_blocks import BlockEvidence
from sluicegate.stats.sequential_test import SequentialEvidence
from sluicegate.views.numbers import compared_counts

Z_SURELY: Final = quantile(0.95)
"""Of the one-sided bound by which client errors still hold a candidate when its time is over."""


@dataclass(frozen=True, slots=True)
class AgedLabels:
    """Canary labels of both versions, compared at equal ages.

    Attributes
    ----------
    classes : of age that the newest of these labels cover, youngest first; 0 if none do yet.
    earlier_count : stable's labels before the rollout, of any age.
    another_kind : young labels surely have another share of wrong answers than all: right and wrong
        answers become known after different times.
    ratio : odds ratio of both versions over the tables of equal ages; None without information.
    settle_seconds : that stable's labels take to be those of a new share of the traffic; 0 where
        young labels are of the same kind.
    """

    classes: int
    earlier_count: Count
    another_kind: bool
    ratio: OddsRatio | None
    settle_seconds: int = 0

    @property
    def seconds(self) -> int | None:
        """Return the greatest age of the labels that are compared now, in seconds; None without a limit."""
        return (
            AGE_BOUNDS_SECONDS[self.classes - 1]
            if self.classes <= len(AGE_BOUNDS_SECONDS)
            else None
        )

    def with_all_labels(self, candidate: Count, stable: Count) -> tuple[Count, Count]:
        """Estimate the final counts of (candidate, stable), when all labels have arrived.

        Stable's share is that before the rollout, and the candidate's follows by the odds ratio: sums
        over tables of different ages would compare different ages. The totals are those that give the
        odds ratio the variance that it has.
        """
        if not self.another_kind or self.ratio is None or not self.earlier_count.total:
            return candidate, stable
        stable_odds = _odds(self.earlier_count)
        candidate_odds = stable_odds * self.ratio.estimate
        variances = [odds / (1 + odds) ** 2 for odds in (candidate_odds, stable_odds)]
        weight = self.ratio.fisher_information * sum(
            1 / (count.total * variance)
            for count, variance in zip((candidate, stable), variances, strict=True)
        )
        return _count_of(candidate_odds, weight * candidate.total), _count_of(
            stable_odds, weight * stable.total
        )


def _odds(count: Count) -> float:
    """Return the odds of bad events, with half an event added to each count."""
    return (count.bad + 0.5) / (count.total - count.bad + 0.5)


def _count_of(odds: float, total: float) -> Count:
    """Return the (bad, total) count for given odds of bad events."""
    rounded_total = max(round(total), 1)
    return Count(round(rounded_total * odds / (1 + odds)), rounded_total)


@dataclass(frozen=True, slots=True)
class SloEvidence:
    """The canary evidence of one SLO.

    Attributes
    ----------
    terms : the SLO. evidence : ln E both ways, and the events it rests on.
    required : whether it must favour the candidate.
    promote_at, roll_back_at : ln E needed to leave the current step, and to take it back.
    better_at : ln E at which it carries the candidate over the current step, though it needn't favour it.
    is_late : the part of the rollout's duration that the steps so far may take is over.
    correlation : ρ of stable before the rollout. expected_seconds : seconds an equal candidate takes in all; infinite without events.
    margin : δ, by how much it may be worse.
    paired : the part of the evidence that is of rows which both versions were scored on.
    shadow : the part that is of rows labelled after the training, where a shadow phase scores them:
        then nothing of `evidence.promote` is of the canary's counts.
    labels : where it is about labels that are compared at the same ages; else None.
    scatter : stable's blocks before the rollout and beside the candidate.
    """

    terms: SloTerms
    evidence: SequentialEvidence
    required: bool
    promote_at: float
    roll_back_at: float
    correlation: float
    blocks: int
    expected_seconds: float
    scatter: StableScatter
    better_at: float
    is_late: bool = False
    paired: PairedEvidence | None = None
    margin: float = 0.0
    shadow: BlockEvidence | None = None
    labels: AgedLabels | None = None

    @property
    def dispersion(self) -> float:
        """Return φ of stable's blocks before the rollout and beside the candidate."""
        return self.scatter.dispersion

    def settle_seconds(self, before: int) -> int:
        """Return within how many seconds stable's labels settle; at least `before`."""
        return max(before, 0 if self.labels is None else self.labels.settle_seconds)

    @property
    def is_slow(self) -> bool:
        """Return whether a quality SLO needs long for its evidence even with an equal candidate."""
        return self.terms.measures_quality and self.expected_seconds > SLOW_SECONDS

    @property
    def blocks_promotion(self) -> bool:
        """Return whether a promotion requires this SLO; client errors are required only until their planned time.

        Then a veto takes a difference that is sure at 95 %. By then it would hold one in five equal
        versions, as half of them take longer than the mean, which planning goes by.
        """
        return self.required and not self._may_be_ignored

    @property
    def _may_be_ignored(self) -> bool:
        return self.is_late and is_implicit(self.terms) and not self._is_surely_worse

    @property
    def _is_surely_worse(self) -> bool:
        stable_arm = self._as_independent(self.arms[1])
        if not stable_arm[1] or not self.independent_count[1]:
            return True
        return newcombe_difference(self.independent_count, stable_arm, Z_SURELY).lower > 0

    @property
    def independent_count(self) -> tuple[float, float]:
        """Return the candidate's (bad, total) in independent events, that is, divided by their dispersion."""
        return self._as_independent(self.arms[0])

    @property
    def arms(self) -> tuple[Count, Count]:
        """Return the (bad, total) of (candidate, stable) in the same blocks; labels that are still to arrive are estimated."""
        candidate, stable = self.evidence.candidate, self.evidence.stable
        if self.labels is None:
            return candidate, stable
        return self.labels.with_all_labels(candidate, stable)

    @property
    def is_estimated(self) -> bool:
        """Return whether the counts include estimated labels, as young labels have a different bad share."""
        labels = self.labels
        return labels is not None and labels.another_kind and labels.ratio is not None

    def _as_independent(self, count: Count) -> tuple[float, float]:
        mean = count.total / self.blocks if self.blocks else 0.0
        share = independent_share(mean, self.correlation)
        return count.bad * share, count.total * share

    @property
    def favours(self) -> bool:
        """Return whether the evidence suffices that the candidate isn't worse by the margin."""
        return self.evidence.promote_evidence >= self.promote_at

    @property
    def shows_better(self) -> bool:
        """Return whether the evidence suffices that the candidate is better than stable."""
        return self.favours and self.evidence.better_evidence >= self.better_at

    @property
    def leans_against(self) -> bool:
        """Return whether an optional SLO looks worse on few events."""
        is_optional = (
            self.terms.canary_evidence is CanaryEvidence.IF_AVAILABLE and not self.required
        )
        return is_optional and self.looks_worse and not self._may_be_ignored

    @property
    def looks_worse(self) -> bool:
        """Return whether the events look worse rather than equal, in the canary or in the shadow phase."""
        return self.evidence.roll_back > 0 or (
            self.shadow is not None and self.shadow.roll_back > 0
        )

    @property
    def is_against(self) -> bool:
        """Return whether the evidence suffices that the candidate is worse."""
        return self.evidence.roll_back >= self.roll_back_at

    @property
    def is_worse_in_shadow(self) -> bool:
        """Return whether the rows of the shadow phase suffice as evidence that the candidate is worse."""
        return self.shadow is not None and self.shadow.roll_back >= self.roll_back_at


def is_own(slo: SloTerms) -> bool:
    """Return whether the SLO is in the product's spec: neither a consumer's nor the share of client errors."""
    return not (is_implicit(slo) or slo.consumer)


def is_required(
    slo: SloTerms, terms: Terms, expected_seconds: float, *, has_events: bool, shadow_is_empty: bool
) -> bool:
    """Return whether a promotion needs evidence of this SLO.

    Where a person chose the rollout's duration, it is what an equal candidate can pass in; else
    the duration follows the labels, and an SLO that has any is waited for. `unheard`: a shadow
    phase scores it and has no rows yet. It is waited for, or a command that fails would promote.
    """
    match slo.canary_evidence:
        case CanaryEvidence.REQUIRED:
            return True
        case CanaryEvidence.IF_AVAILABLE:
            waited_for = slo.measures_quality and has_events and not terms.is_duration_given
            return waited_for or shadow_is_empty or expected_seconds <= terms.max_duration_seconds
        case CanaryEvidence.POST_PROMOTION:
            return False


def without_slow(slos: tuple[SloEvidence, ...]) -> tuple[SloEvidence, ...]:
    """Return the evidence for a step before the last: without slow SLOs if another SLO favours the candidate.

    A small share protects from what requests show at once; labels are most at the last share.
    """
    if not any(slo.required and not slo.is_slow and not is_implicit(slo.terms) for slo in slos):
        return slos
    return tuple(replace(slo, required=slo.required and not slo.is_slow) for slo in slos)


MAX_NAMED_HARMS: Final = 3
"""Markets in which a candidate is worse that a message has the numbers of."""


@dataclass(frozen=True, slots=True)
class MarketHarm:
    """An SLO in a market in which the candidate is worse beyond chance.

    Attributes
    ----------
    candidate, stable : events of both in the same blocks. evidence, bound : ln E, and what it has to reach.
    """

    slo: SloTerms
    market: str
    candidate: Count
    stable: Count
    evidence: float
    bound: float

    @property
    def holds(self) -> bool:
        """Return whether the spec holds a candidate that is worse in this market."""
        return self.slo.on_market_worse is OnMarketWorse.HOLD

    @property
    def text(self) -> str:
        """Return the shares of both versions in the market, in words."""
        candidate_text, stable_text = compared_counts(self.candidate, self.stable)
        return (
            f"worse in {self.market} in {self.slo.subject}: {candidate_text} against stable's {stable_text} in the same"
            f" blocks, evidence {self.evidence:.1f} of {self.bound:.1f}"
        )


def harms_text(harms: Sequence[MarketHarm]) -> str:
    """Return the markets in which a candidate is worse, the first three with their numbers; empty without any."""
    texts = [harm.text for harm in harms[:MAX_NAMED_HARMS]]
    unnamed_markets = len(harms) - len(texts)
    return "; ".join([*texts, f"and in {unnamed_markets} more"] if unnamed_markets else texts)


@dataclass(frozen=True, slots=True)
class ConsumerGap:
    """The reason why a consumer has no valid outcomes at this share.

    Attributes
    ----------
    consumer : `namespace/name`. text : the reason, and what ends it.
    unread : its SLOs can't be read, so all of them are waited for.
    """

    consumer: str
    text: str
    unread: bool = False


MarketCounts = Mapping[str, tuple[Count, Count]]
"""Events of candidate and stable by market."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The evidence on a candidate at the end of a block.

    Attributes
    ----------
    slos : by deciding SLO; last those of consumers.
    dwell : usable blocks in this step, after its warm-up.
    requests : candidate's requests in them.
    newest : quality of the newest block; MISSING before the first one.
    newest_requests : candidate's requests in it.
    is_quiet : whether neither version has an event in the newest measured blocks, by `is_silent`.
    invalid : latest blocks in a row whose numbers weren't counts.
    silent : latest blocks in a row in which stable had requests and the candidate no series, and the
        requests expected from its share.
    gauges : by deciding SLO that is a gauge.
    contradicting_share : the share that was seen in the last five blocks, when none of them had the right one.
    harmed : markets in which the candidate is surely worse, the strongest evidence first.
    cases : how many comparisons share the error of a rollback.
    gaps : consumers whose outcomes are no evidence now.
    by_market : events of candidate and stable by SLO and market.
    silences : intervals without requests, whose time the rollout's duration doesn't count.
    """

    slos: tuple[SloEvidence, ...]
    dwell: int
    requests: int
    newest: Quality
    newest_requests: int
    invalid: int
    silent: SilentBlocks
    contradicting_share: float | None
    gauges: tuple[GaugeEvidence, ...] = ()
    harmed: tuple[MarketHarm, ...] = ()
    cases: int = 1
    gaps: tuple[ConsumerGap, ...] = ()
    by_market: Mapping[str, MarketCounts] = field(default_factory=dict)
    silences: Silences = ()
    is_quiet: bool = False

    @property
    def holding_harms(self) -> tuple[MarketHarm, ...]:
        """Return the markets for which the spec holds the candidate, the strongest evidence first."""
        return tuple(harm for harm in self.harmed if harm.holds)

    @property
    def required(self) -> tuple[SloEvidence, ...]:
        """Return the SLOs that must favour the candidate."""
        return tuple(slo for slo in self.slos if slo.blocks_promotion)

    @property
    def promotion_evidence(self) -> tuple[SloEvidence, ...]:
        """Return the evidence for a promotion: the required SLOs, else all measured ones.

        Planning lets an SLO off in which an equal candidate would take too long. A better one
        takes less. So where no SLO must speak, one that shows the candidate to be better carries
        it, and so do all of them when each has spoken: either way a candidate that is worse in
        one of them is promoted in at most 5 %. That one speaks by chance isn't enough, as the
        others may have seen too little to object. Client errors only ever veto, and so do SLOs of
        consumers.
        """
        spec_slos = tuple(slo for slo in self.slos if is_own(slo.terms))
        if any(slo.required for slo in spec_slos) or any(gauge.required for gauge in self.gauges):
            return self.required
        all_favour = spec_slos and all(slo.favours for slo in spec_slos)
        slos = spec_slos if all_favour else tuple(slo for slo in spec_slos if slo.shows_better)
        return (*slos, *self.required)

    @property
    def counted_gauges(self) -> tuple[GaugeEvidence, ...]:
        """Return the gauges for a promotion: the required ones, else all measured ones."""
        required = tuple(gauge for gauge in self.gauges if gauge.required)
        if required or any(slo.required and is_own(slo.terms) for slo in self.slos):
            return required
        return tuple(gauge for gauge in self.gauges if gauge.shows_better)

    @property
    def favouring_slos(self) -> tuple[SloEvidence, ...]:
        """Return the SLOs of the spec that favour the candidate."""
        return tuple(slo for slo in self.promotion_evidence if is_own(slo.terms))
