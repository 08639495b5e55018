"""Labels of both arms at the same ages: which of a block's labels compare, and how long a verdict takes.

Right and wrong answers may become known after different times. So labels count as evidence up to the
greatest class of age that both arms' predictions cover since the current share was given
(docs/adr/0022).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, sqrt
from typing import Final, NamedTuple

from sluicegate.api.versions import Share
from sluicegate.policy.canary.block_checks import count_of
from sluicegate.policy.canary.label_pace import dwell_seconds
from sluicegate.policy.canary.slo_evidence import AgedLabels
from sluicegate.policy.model.observed import CanaryBlock
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import BlockValue
from sluicegate.slo.label_ages import AGE_BOUNDS_SECONDS, AGES, LabelsByAge, covered_classes
from sluicegate.stats.cached_fold import Derived
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS, needed_evidence_by_step
from sluicegate.stats.counts import NOTHING, Count, summed
from sluicegate.stats.dispersion import independent_share
from sluicegate.stats.late_labels import LabelledBlock, label_evidence, labels_growth
from sluicegate.stats.sequential_test import SequentialEvidence

COUNTED_SHARE: Final = 0.95
"""Least share of an SLO's labels whose age is counted. Pods of an earlier library count none."""
Z_ANOTHER_KIND: Final = 4.0
"""Standard errors by which the labels of a class differ from all labels where they are of another kind."""
MIN_COMPLETE: Final = 20
"""Labels of each outcome from which on their ages say how long labels take to settle."""
RECENT_BLOCKS: Final = 240
"""Newest blocks, from which it follows whether ages are counted and how late labels come."""


def compares_ages(slo: SloTerms, blocks: Sequence[CanaryBlock]) -> bool:
    """Return whether an SLO compares labels by age, with ages counted for each version."""
    if not slo.definition.from_truths:
        return False
    recent_blocks = blocks[-RECENT_BLOCKS:]
    recent_ages = _recent_ages(recent_blocks)
    candidate = sum(ages.candidate_total[-1] for ages in recent_ages)
    stable = sum(ages.stable_total[-1] for ages in recent_ages)
    return (
        candidate + stable > 0
        and candidate >= COUNTED_SHARE * _total(slo, (block.candidate for block in recent_blocks))
        and stable >= COUNTED_SHARE * _total(slo, (block.stable for block in recent_blocks))
    )


def _recent_ages(blocks: Sequence[CanaryBlock]) -> list[LabelsByAge]:
    return [block.ages for block in blocks[-RECENT_BLOCKS:] if block.ages is not None]


def _total(slo: SloTerms, arms: Iterable[Mapping[str, BlockValue]]) -> int:
    return sum(arm[slo.name].count.total for arm in arms if slo.name in arm)


class AgeRule(NamedTuple):
    """The rule which labels of a block are compared.

    Attributes
    ----------
    slo : its name. lag_seconds : of its labels, where the spec has one; else 0.
    lifetime_seconds : after which labels count as complete. share_times : of the candidate, oldest first.
    seconds : length of a block. since : time before which nothing is evidence, in seconds.
    """

    slo: str
    lag_seconds: int
    lifetime_seconds: int
    share_times: tuple[int, ...]
    seconds: int
    since: int


def _read_labels(
    blocks: Sequence[tuple[CanaryBlock, bool]], rule: AgeRule, stretch: slice
) -> Iterator[LabelledBlock]:
    """Yield the labels of each block, oldest first, with a flag whether the block is evidence."""
    start_times, changed = deque(rule.share_times), 0
    for block, is_warm in blocks[stretch]:
        while start_times and start_times[0] < block.end:
            changed = start_times.popleft()
        if block.ages is None:
            yield LabelledBlock(0, NOTHING, NOTHING, _labels(block, rule.slo))
            continue
        classes = 0
        if is_warm and block.end > rule.since:
            age = block.end - rule.seconds - changed - WARM_UP_BLOCKS * rule.seconds
            classes = _complete_classes(rule, age)
        candidate, stable = block.ages.within(classes) if classes else (NOTHING, NOTHING)
        yield LabelledBlock(classes, candidate, stable, _labels(block, rule.slo))


def _complete_classes(rule: AgeRule, age: float) -> int:
    """Return the number of age classes that are complete for predictions of this age, in seconds."""
    if rule.lag_seconds:
        return len(AGES) if age >= rule.lag_seconds else 0
    return len(AGES) if age >= rule.lifetime_seconds else covered_classes(age)


def _labels(block: CanaryBlock, slo: str) -> Count:
    arms = (block.candidate.get(slo), block.stable.get(slo))
    return summed(count for arm in arms if (count := count_of(arm)) is not None)


class LabelRate(NamedTuple):
    """The label rates of both versions, up to an upper bound of the label age.

    Attributes
    ----------
    seconds : age of predictions that cover it. per_second : labels. ratio : share of wrong ones.
    labels : that this is taken from.
    """

    seconds: float
    per_second: float
    ratio: float
    labels: int


@dataclass(frozen=True, slots=True)
class LabelComparison:
    """Labels of both arms at the same ages, by block, with their arrival by age.

    `settle_seconds` is the age up to which nearly all labels of each outcome come.
    """

    blocks: Derived[LabelledBlock]
    rates: list[LabelRate]
    settle_seconds: int

    def evidence(
        self, earlier_count: Count, *, margin: float, correlation: float
    ) -> tuple[SequentialEvidence, AgedLabels]:
        """Return the evidence of all blocks, and the label counts for the assessment.

        `earlier_count` are stable's labels before the rollout.
        """
        evidence, ratio, classes = label_evidence(
            self.blocks, earlier_count, margin=margin, correlation=correlation
        )
        has_another_kind = self._has_different_share
        settling = self.settle_seconds if has_another_kind else 0
        return evidence, AgedLabels(classes, earlier_count, has_another_kind, ratio, settling)

    @property
    def _has_different_share(self) -> bool:
        """Return whether labels of one age class have a different bad share than all labels, beyond chance."""
        if not self.rates:
            return False
        ratio = self.rates[-1].ratio
        return any(
            abs(rate.ratio - ratio) > Z_ANOTHER_KIND * sqrt(ratio * (1 - ratio) / rate.labels)
            for rate in self.rates
        )


def compare_labels(
    slo: SloTerms,
    terms: Terms,
    blocks: Sequence[tuple[CanaryBlock, bool]],
    shares: Sequence[Share],
    *,
    numbers: tuple[int, ...],
    seconds: int,
    since: int,
) -> LabelComparison | None:
    """Return the labels of an SLO compared at equal ages; None where label ages aren't counted.

    Parameters
    ----------
    blocks : counted blocks, oldest first, each with whether it is evidence.
    shares : of the candidate, oldest first. numbers : one for each block with its flag.
    seconds : length of a block. since : time before which nothing is evidence, in seconds.
    """
    recent_blocks = [block for block, _ in blocks[-RECENT_BLOCKS:]]
    if not compares_ages(slo, recent_blocks):
        return None
    share_times = tuple(share.start_time for share in shares)
    lag, lifetime = slo.label_lag_seconds, terms.label_lifetime_seconds
    rule = AgeRule(slo.name, lag, lifetime, share_times, seconds, since)
    labelled = Derived(rule, numbers, partial(_read_labels, blocks, rule))
    rates = label_rates(terms, slo, recent_blocks, seconds)
    return LabelComparison(labelled, rates, _settle_seconds(terms, recent_blocks))


def _settle_seconds(terms: Terms, blocks: Sequence[CanaryBlock]) -> int:
    """Return the age within which nearly all of stable's labels of each outcome arrive; 0 with too few labels."""
    recent_ages = _recent_ages(blocks)
    wrong_labels = [
        sum(column) for column in zip(*(ages.stable_bad for ages in recent_ages), strict=True)
    ]
    all_labels = [
        sum(column) for column in zip(*(ages.stable_total for ages in recent_ages), strict=True)
    ]
    right_labels = [labels - bad for labels, bad in zip(all_labels, wrong_labels, strict=True)]
    if not recent_ages or min(wrong_labels[-1], right_labels[-1]) < MIN_COMPLETE:
        return 0
    bounds = (*AGE_BOUNDS_SECONDS, terms.label_lifetime_seconds)
    return next(
        bound
        for bound, *labels in zip(bounds, wrong_labels, right_labels, strict=True)
        if all(
            class_labels >= COUNTED_SHARE * total
            for class_labels, total in zip(
                labels, (wrong_labels[-1], right_labels[-1]), strict=True
            )
        )
    )


def label_rates(
    terms: Terms, slo: SloTerms, blocks: Sequence[CanaryBlock], seconds: int
) -> list[LabelRate]:
    """Return the arrival of the newest blocks' labels by age, youngest class first; none without labels."""
    recent_ages = _recent_ages(blocks)
    if not recent_ages:
        return []
    bad, total = (
        [sum(column) for column in zip(*rows, strict=True)]
        for rows in (
            [row for ages in recent_ages for row in (ages.candidate_bad, ages.stable_bad)],
            [row for ages in recent_ages for row in (ages.candidate_total, ages.stable_total)],
        )
    )
    if slo.label_lag_seconds:
        age_bounds = {len(AGES): float(slo.label_lag_seconds)}
    else:
        age_bounds = {
            age_class: float(bound) for age_class, bound in enumerate(AGE_BOUNDS_SECONDS, start=1)
        }
        age_bounds[len(AGES)] = float(terms.label_lifetime_seconds)
    seconds_read = len(recent_ages) * seconds
    rates = [
        LabelRate(end, labels / seconds_read, bad[classes - 1] / labels, labels)
        for classes, end in age_bounds.items()
        if (labels := total[classes - 1])
    ]
    return sorted(rates)


def expected_label_seconds(
    steps: Sequence[int],
    rates: Sequence[LabelRate],
    margin: float,
    *,
    block_seconds: float,
    correlation: float = 0.0,
    earlier_evidence: float = 0.0,
) -> float:
    """Compute the mean time until an equal candidate has passed all steps; infinite if it never passes.

    Parameters
    ----------
    steps : shares in percent. rates : by class of age, of which the last has all labels. margin : δ.
    block_seconds : of canary blocks. correlation : ρ of labels of one block and arm.
    earlier_evidence : ln E before the first step.
    """
    if not rates:
        return inf
    ratio, total = rates[-1].ratio, 0.0
    for weight, needed in needed_evidence_by_step(steps, earlier_evidence):
        rates_from = [
            (
                rate.seconds + (WARM_UP_BLOCKS + 1) * block_seconds,
                labels_growth(weight / 100, rate.ratio, ratio, margin)
                * rate.per_second
                * independent_share(rate.per_second * block_seconds * weight / 100, correlation),
            )
            for rate in rates
        ]
        total += max(_time_until(needed, rates_from), dwell_seconds(block_seconds))
    return total


def _time_until(needed: float, rates: Sequence[tuple[float, float]]) -> float:
    """Return the time at which the accumulated evidence reaches `needed`; each rate applies from its own start time."""
    if needed <= 0:
        return 0.0
    evidence = 0.0
    for index, (begin, rate) in enumerate(rates):
        end = rates[index + 1][0] if index + 1 < len(rates) else inf
        if rate > 0 and evidence + rate * (end - begin) >= needed:
            return begin + (needed - evidence) / rate
        evidence += rate * (end - begin) if rate > 0 else 0.0
    return inf
