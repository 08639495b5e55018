"""How long a rollout takes that waits for the SLOs of consumers."""

from collections.abc import Iterator
from functools import partial

from sluicegate.policy.canary.label_evidence import (
    compares_ages,
    expected_label_seconds,
    label_rates,
)
from sluicegate.policy.canary.label_pace import (
    LabelPace,
    planned_seconds,
    seconds_of_all_steps,
    weekly_pace,
)
from sluicegate.policy.model.consumers import ConsumerCase, ConsumerReading, terms_for
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import Quality


def pace_of(terms: Terms, reading: ConsumerReading, case: ConsumerCase) -> LabelPace | None:
    """Return the rate of a consumer's events in the last week; None without events.

    Parameters
    ----------
    terms : of the upstream, with the delays of this consumer.
    """
    return weekly_pace(terms, reading, case.slo)


def consumers_planned(
    terms: Terms, observed: Observed
) -> Iterator[tuple[float, SloTerms, LabelPace]]:
    """Yield the seconds that an equal candidate needs by each SLO of a consumer, at the rate of the last week."""
    for reading in observed.consumer_readings:
        consumer_slos = terms if reading.terms is None else terms_for(terms, reading.terms)
        for case in reading.cases:
            pace = pace_of(consumer_slos, reading, case)
            if pace is not None:
                margin = case.terms.margin
                seconds = planned_seconds(
                    consumer_slos, case.terms, pace, margin=margin, evidence=0.0
                )
                yield seconds, case.terms, pace


def consumers_aged(
    terms: Terms, steps: tuple[int, ...], observed: Observed, min_labels: int
) -> Iterator[tuple[float, SloTerms]]:
    """Yield the seconds that an equal candidate needs for each consumer SLO whose labels are compared by age.

    Parameters
    ----------
    min_labels : labels from which on their delays are known.
    """
    seconds = observed.canary_block_seconds
    for reading in observed.consumer_readings:
        consumer_slos = terms if reading.terms is None else terms_for(terms, reading.terms)
        counts = (block.counts for block in reading.blocks)
        blocks = [count for count in counts if count.quality is Quality.COUNTED]
        for case in reading.cases:
            slo = case.terms
            if not compares_ages(slo, blocks):
                continue
            rates = label_rates(consumer_slos, slo, blocks, seconds)
            if rates[-1].labels < min_labels or not 0 < rates[-1].ratio < 1:
                continue
            with_steps = partial(
                expected_label_seconds, rates=rates, margin=slo.margin, block_seconds=seconds
            )
            yield (
                seconds_of_all_steps(consumer_slos, slo, steps, with_steps, block_seconds=seconds),
                slo,
            )
