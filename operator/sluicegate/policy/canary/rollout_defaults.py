"""Default steps and duration of a rollout, derived from the rate of events.

A step has to show some requests of the candidate. A share at which they take hours exposes no
fewer users, only the same number later; so with little traffic a rollout begins with a larger one.
The duration follows the labels, as a rollout that ends before they come says nothing of the answers,
and the requests that a promotion requires evidence of.
What applies is fixed when the rollout starts, and status.candidate.derived shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from sluicegate.api.rollout import DEFAULT_MAX_DURATION_SECONDS
from sluicegate.api.slos import CanaryEvidence
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, DerivedRollout
from sluicegate.policy.canary.block_checks import silences_of
from sluicegate.policy.canary.consumer_pace import consumers_aged, consumers_planned
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
from sluicegate.policy.canary.objections import MIN_REQUESTS
from sluicegate.policy.canary.rollout_time import LONGEST_SECONDS, rollout_time
from sluicegate.policy.canary.shadow_evidence import (
    is_scored,
    planned_shadow_seconds,
    rows_per_second,
)
from sluicegate.policy.model.decision import Decision, StartRollout
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.slo.blocks import Quality
from sluicegate.stats.paired import Pairs
from sluicegate.stats.paired import paired_evidence as weigh_pairs
from sluicegate.views.numbers import duration

SOON_SECONDS: Final = 900
"""Within which a step is to show its requests."""
RATE_BLOCKS: Final = 24
"""Blocks that the rate of requests is taken from."""
MIN_EXTENSION: Final = 1.25
"""Factor by which a rollout has to need longer than was derived before that is changed."""
MIN_LABELS: Final = 100
"""Labels by age that this is taken from."""
_MEASURED: Final = frozenset({Quality.COUNTED, Quality.NO_SERIES})
TIMES_PLANNED: Final = 3
"""A rollout may last so many times what an equal candidate takes on average: 88 to 93 % of them
have a verdict by then, 75 to 87 % at twice the average."""


def terms_for_next(terms: Terms, observed: Observed) -> Terms:
    """Return the terms with derived steps and duration for a rollout that starts now."""
    return terms if terms.are_steps_given else replace(terms, steps=_steps(terms, observed))


def terms_for_current(terms: Terms, status: DataProductStatus, observed: Observed) -> Terms:
    """Return the terms with the steps and duration that the present rollout has derived.

    A field that was removed from the spec since then has the value that it would start with now.
    """
    trial = status.trial
    if trial is None or trial.is_parked or (terms.are_steps_given and terms.is_duration_given):
        return terms
    derived_before = trial.derived or DerivedRollout()
    steps, longest = terms.steps, terms.max_duration_seconds
    if not terms.are_steps_given:
        steps = derived_before.steps or _steps(terms, observed)
    if not terms.is_duration_given:
        derived = (
            derived_before
            if derived_before.max_duration_seconds
            else derive_rollout(terms, observed, trial.pairs)
        )
        longest = derived.max_duration_seconds or longest
    return replace(terms, steps=steps, max_duration_seconds=longest)


def rollout_end(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> int | None:
    """Return when the present rollout ends without a verdict, in seconds; None without a rollout.

    Parameters
    ----------
    now : in seconds.
    """
    trial = status.trial
    if trial is None or trial.is_parked:
        return None
    current = terms_for_current(terms, status, observed)
    silences = silences_of(current, trial, observed)
    return now + rollout_time(current, status, trial, silences, now=now).remaining


def with_longer_duration(
    terms: Terms, status: DataProductStatus, observed: Observed
) -> DataProductStatus:
    """Return the status with a longer derived duration, if labels of equal ages arrive slower than expected.

    How late right and wrong answers become known is measured only once a candidate takes traffic.
    """
    trial = status.trial
    derived_before = None if trial is None or trial.weight == 0 else trial.derived
    if (
        trial is None
        or derived_before is None
        or derived_before.max_duration_seconds is None
        or terms.is_duration_given
    ):
        return status
    needed_seconds = [
        (seconds, slo.name)
        for slo in terms.deciding
        if (
            seconds := _aged_seconds(
                terms,
                slo,
                trial,
                observed,
                correlation=status.engine.correlation.get(slo.name, 0.0),
            )
        )
        is not None
    ]
    steps = derived_before.steps or terms.steps
    consumers = consumers_aged(terms, steps, observed, MIN_LABELS)
    needed_seconds += [(seconds, slo.title) for seconds, slo in consumers]
    seconds, name = max(needed_seconds, default=(0.0, ""))
    longest = round(min(TIMES_PLANNED * seconds, LONGEST_SECONDS))
    if longest < MIN_EXTENSION * derived_before.max_duration_seconds:
        return status
    message_before = derived_before.message.partition("; ")[0] if derived_before.steps else ""
    text = (
        f"{duration(longest)} at most as {name} compares labels of the same ages, with which an"
        f" equal candidate takes {duration(seconds)}"
    )
    message = "; ".join(filter(None, (message_before, text)))
    derived = derived_before.replace(max_duration_seconds=longest, message=message)
    return status.with_candidate(derived=derived)


def _aged_seconds(
    terms: Terms, slo: SloTerms, trial: Candidate, observed: Observed, *, correlation: float
) -> float | None:
    """Return the mean seconds that an equal candidate needs where labels are compared by age; else None."""
    blocks = [
        canary_block
        for canary_block in observed.canary_blocks
        if canary_block.quality is Quality.COUNTED
    ]
    if not compares_ages(slo, blocks):
        return None
    rates = label_rates(terms, slo, blocks, observed.canary_block_seconds)
    if rates[-1].labels < MIN_LABELS or not 0 < rates[-1].ratio < 1:
        return None
    rows = trial.pairs.get(slo.name)
    margin = slo.margin_by(rows)
    evidence = 0.0 if rows is None else weigh_pairs(rows, margin).promote_evidence

    def with_steps(steps: tuple[int, ...]) -> float:
        return expected_label_seconds(
            steps,
            rates,
            margin,
            block_seconds=observed.canary_block_seconds,
            correlation=correlation,
            earlier_evidence=evidence,
        )

    steps = (trial.derived.steps if trial.derived else ()) or terms.steps
    return seconds_of_all_steps(
        terms, slo, steps, with_steps, block_seconds=observed.canary_block_seconds
    )


def with_derived_defaults(terms: Terms, observed: Observed, decision: Decision) -> Decision:
    """Return the decision; the start of a rollout has the values that are derived where the spec has none."""
    if not isinstance(decision, StartRollout) or (
        terms.are_steps_given and terms.is_duration_given
    ):
        return decision
    return replace(decision, derived=derive_rollout(terms, observed, decision.pairs))


def derive_rollout(
    terms: Terms, observed: Observed, pairs: Mapping[str, Pairs] | None = None
) -> DerivedRollout:
    """Return the derived values of a rollout that starts now.

    Parameters
    ----------
    pairs : of the candidate's hold-out, by SLO.
    """
    steps = terms.steps if terms.are_steps_given else _steps(terms, observed)
    paces = {
        slo.name: pace
        for slo in terms.deciding
        if slo.measures_quality and (pace := weekly_pace(terms, observed, slo.name)) is not None
    }
    planned = replace(terms, steps=steps)
    consumers = tuple(consumers_planned(planned, observed))
    longest, reason_text = longest_seconds(
        planned,
        paces,
        pairs or {},
        consumers=consumers,
        request_paces=_request_paces(terms, observed),
    )
    rate = _requests_per_second(terms, observed)
    texts = [] if terms.are_steps_given else [f"{describe_steps(steps)} at {_per_minute(rate)}"]
    texts += [] if terms.is_duration_given else [f"{duration(longest)} at most {reason_text}"]
    return DerivedRollout(
        steps=() if terms.are_steps_given else steps,
        max_duration_seconds=None if terms.is_duration_given else longest,
        message="; ".join(texts),
    )


class DurationPlan(NamedTuple):
    """What one SLO needs of a rollout.

    Attributes
    ----------
    seconds : mean time until an equal candidate has passed by it; infinite if it never passes.
    pace : its labels, or its requests.
    """

    seconds: float
    slo: SloTerms
    pace: LabelPace

    @property
    def longest(self) -> int:
        """Return the duration within which most equal candidates have a verdict."""
        least, most = DEFAULT_MAX_DURATION_SECONDS, LONGEST_SECONDS
        return round(min(max(TIMES_PLANNED * self.seconds, least), most))

    def reason(self) -> str:
        """Return why a rollout may last so long, as a clause."""
        if self.slo.definition.about_requests:
            return (
                f"as {_per_minute(self.pace.per_second)} come, with which an equal candidate takes"
                f" {duration(self.seconds)} by {self.slo.title}"
            )
        needs = (
            f"an equal candidate takes {duration(self.seconds)}"
            if self.seconds < _NEVER_SECONDS
            else "none comes"
        )
        per_day = self.pace.per_second * 86_400
        return f"as {per_day:,.3g} labels of {self.slo.title} a day come, with which {needs}"


def longest_seconds(
    terms: Terms,
    paces: Mapping[str, LabelPace],
    pairs: Mapping[str, Pairs],
    *,
    consumers: Sequence[tuple[float, SloTerms, LabelPace]] = (),
    request_paces: Mapping[str, LabelPace] | None = None,
) -> tuple[int, str]:
    """Return the longest duration that the rates of labels and requests need, and the reason.

    An SLO about requests is required if an equal candidate passes by it within the duration on
    average. So one that the labels' duration makes required gets its own time, too, which may make
    the next one required. Where none is required, a promotion needs them all.

    Parameters
    ----------
    paces : of the SLOs about the answers that have labels. pairs : of the hold-out, by SLO.
    consumers : SLOs of consumers that have labels, with the seconds that an equal candidate takes.
    request_paces : of the SLOs about requests that have any.
    """
    if terms.shadow_seconds is not None and terms.mirrored is None:
        # Its command may find labels that Prometheus doesn't count.
        uncounted = [
            slo for slo in terms.deciding if is_scored(terms, slo) and slo.name not in paces
        ]
        if uncounted:
            reason_text = (
                f"as a shadow phase waits for labels of {uncounted[0].name}, which aren't counted"
            )
            return LONGEST_SECONDS, reason_text
    plans = [*_planned(terms, paces, pairs), *(DurationPlan(*plan) for plan in consumers)]
    longest, reason_text = DEFAULT_MAX_DURATION_SECONDS, "as no labels come"
    if plans:
        slowest = max(plans, key=lambda plan: plan.seconds)
        longest, reason_text = slowest.longest, slowest.reason()
    requests = sorted(_planned_requests(terms, request_paces or {}), key=_by_need)
    needs_all = not (plans or any(_is_needed(plan, longest) for plan in requests))
    for plan in requests:
        if (needs_all or _is_needed(plan, longest)) and plan.longest > longest:
            longest, reason_text = plan.longest, plan.reason()
    return longest, reason_text


def _by_need(plan: DurationPlan) -> tuple[bool, float]:
    return plan.slo.canary_evidence is not CanaryEvidence.REQUIRED, plan.seconds


def _is_needed(plan: DurationPlan, longest: int) -> bool:
    """Return whether a promotion within `longest` seconds requires the SLO."""
    return plan.slo.canary_evidence is CanaryEvidence.REQUIRED or plan.seconds <= longest


_NEVER_SECONDS: Final = 10 * 365 * 86_400


def _planned(
    terms: Terms, paces: Mapping[str, LabelPace], pairs: Mapping[str, Pairs]
) -> Iterator[DurationPlan]:
    for slo in terms.deciding:
        pace = paces.get(slo.name)
        if pace is None:
            continue
        rows = pairs.get(slo.name)
        margin = slo.margin_by(rows)
        evidence = 0.0 if rows is None else weigh_pairs(rows, margin).promote_evidence
        if terms.shadow_seconds is not None and is_scored(terms, slo):
            per_second = rows_per_second(terms, pace.per_second)
            seconds = planned_shadow_seconds(
                terms.shadow_seconds, per_second, margin=margin, evidence=evidence, rows=rows
            )
            seconds += pace.gap_seconds
        else:
            seconds = planned_seconds(terms, slo, pace, margin=margin, evidence=evidence)
        yield DurationPlan(seconds, slo, pace)


def _planned_requests(terms: Terms, paces: Mapping[str, LabelPace]) -> Iterator[DurationPlan]:
    for slo in terms.deciding:
        pace = paces.get(slo.name)
        if pace is not None and slo.canary_evidence is not CanaryEvidence.POST_PROMOTION:
            seconds = planned_seconds(terms, slo, pace, margin=slo.margin, evidence=0.0)
            yield DurationPlan(seconds, slo, pace)


def _request_paces(terms: Terms, observed: Observed) -> dict[str, LabelPace]:
    """Return the requests of the last week by SLO; a derived duration doesn't count hours without any."""
    paces = {
        slo.name: weekly_pace(terms, observed, slo.name)
        for slo in terms.deciding
        if slo.definition.about_requests
    }
    return {
        name: replace(pace, gap_seconds=0.0) for name, pace in paces.items() if pace is not None
    }


def _steps(terms: Terms, observed: Observed) -> tuple[int, ...]:
    return derived_steps(terms, _requests_per_second(terms, observed))


def derived_steps(terms: Terms, rate: float) -> tuple[int, ...]:
    """Return the default steps at which enough requests come soon; the last one where none does.

    Parameters
    ----------
    rate : requests a second of all versions; without any, all default steps apply.
    """
    if rate == 0:
        return terms.steps
    percentages = tuple(
        share for share in terms.steps if share / 100 * rate * SOON_SECONDS >= MIN_REQUESTS
    )
    return percentages or terms.steps[-1:]


def describe_steps(steps: Sequence[int]) -> str:
    """Return the traffic shares of the steps as text."""
    return f"{', '.join(str(share) for share in steps)} %"


def _per_minute(rate: float) -> str:
    return f"{rate * 60:,.3g} requests a minute" if rate else "no requests yet"


def _requests_per_second(terms: Terms, observed: Observed) -> float:
    """Return the requests a second of all versions, by the SLO with the most events, in the measured blocks."""
    now = observed.block
    sums: dict[str, int] = {}
    for series in observed.series.values():
        for name, counts in series.items():
            sums[name] = sums.get(name, 0) + counts.window(now, RATE_BLOCKS).total
    measured_blocks = _measured_blocks(observed)
    return (
        max(sums.values(), default=0) / (measured_blocks * terms.block_seconds)
        if measured_blocks
        else 0.0
    )


def _measured_blocks(observed: Observed) -> int:
    """Return the measured blocks of the window, from the first with any count on."""
    all_series = [
        stored_series for series in observed.series.values() for stored_series in series.values()
    ]
    window = range(observed.block - RATE_BLOCKS + 1, observed.block + 1)
    qualities = [
        {stored_series.block(index).quality for stored_series in all_series} for index in window
    ]
    first = next((index for index, kinds in enumerate(qualities) if Quality.COUNTED in kinds), None)
    return 0 if first is None else sum(bool(kinds & _MEASURED) for kinds in qualities[first:])
