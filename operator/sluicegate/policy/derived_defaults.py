"""Values that the spec leaves out and the operator takes from what it measures, in sentences."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import Final

from sluicegate.api.retraining import DEFAULT_COOLDOWN_SECONDS
from sluicegate.api.rollout import DEFAULT_MAX_DURATION_SECONDS
from sluicegate.policy.canary.objections import MIN_REQUESTS
from sluicegate.policy.canary.rollout_defaults import (
    SOON_SECONDS,
    TIMES_PLANNED,
    derive_rollout,
    describe_steps,
)
from sluicegate.policy.canary.rollout_time import LONGEST_SECONDS
from sluicegate.policy.model.hold_out_margin import Z_POWER, HoldOutMargin
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.policy.retraining import labels
from sluicegate.stats.calendar import BLOCKS_PER_HOUR
from sluicegate.stats.counts import Count
from sluicegate.views.numbers import duration, percent, points

DISCORDANT_SHARE: Final = 0.1
"""Assumed share of rows on which one version alone is right, until a result reports it."""


def derived(
    terms: Terms, accepted: dict[str, Count] | None = None, observed: Observed | None = None
) -> Iterator[str]:
    """Yield a line with the spec field and its value for each derived default.

    Parameters
    ----------
    accepted : baselines by SLO, as far as there are any.
    observed : the newest blocks; without them the rules are said instead of what follows.
    """
    if not terms.are_steps_given:
        yield f"rollout.steps: {_steps(terms, observed)}"
    if not terms.is_duration_given:
        yield f"rollout.maxDurationSeconds: {_duration(terms, observed)}"
    quality = [slo for slo in terms.deciding if slo.measures_quality]
    for slo in quality:
        if not slo.is_margin_given:
            yield f"slos, {slo.name}, maxRegression: {_regression(slo)}"
    retraining = terms.retraining
    if retraining is None:
        return
    if not retraining.is_cooldown_given and quality:
        yield f"retraining.cooldownSeconds: {_cooldown(terms, quality, accepted or {})}"
    for slo in quality:
        margin = retraining.hold_out_margins[slo.name]
        if slo.name not in retraining.gated and margin.largest > margin.smallest:
            yield f"retraining.gate, {slo.name}: {_gate(margin)}"


def _steps(terms: Terms, observed: Observed | None) -> str:
    shares_text = ", ".join(str(share) for share in terms.steps)
    rule = f"{MIN_REQUESTS} requests of the candidate come within {duration(SOON_SECONDS)}"
    if observed is None:
        return f"those of {shares_text} % at which {rule}; the last one where none does"
    derived_text = describe_steps(derive_rollout(terms, observed).steps)
    return f"{derived_text}, of {shares_text} % those at which {rule} at the present rate"


def _duration(terms: Terms, observed: Observed | None) -> str:
    min_text, max_text = duration(DEFAULT_MAX_DURATION_SECONDS), duration(LONGEST_SECONDS)
    if observed is None:
        return (
            f"{TIMES_PLANNED} times what an equal candidate takes with the labels and requests that come,"
            f" {min_text} at least, {max_text} at most"
        )
    return derive_rollout(replace(terms, are_steps_given=True), observed).message


def _regression(slo: SloTerms) -> str:
    min_text, max_text = points(slo.margin), points(max(slo.margin, slo.drop))
    return (
        min_text
        if min_text == max_text
        else f"{min_text}; with pairs what they can show, {max_text} at most"
    )


def _cooldown(terms: Terms, quality: list[SloTerms], accepted: dict[str, Count]) -> str:
    needed = " or ".join(
        f"{labels.needed_events(slo, accepted.get(slo.name)):,} events of {slo.name}"
        for slo in quality
    )
    min_text = duration(BLOCKS_PER_HOUR * terms.block_seconds)
    return (
        f"until {needed} have come, which show a drop of maxDrop, and about twice as many after each"
        f" version that is no remedy; {min_text} at least, {duration(DEFAULT_COOLDOWN_SECONDS)} at most"
    )


def _gate(margin: HoldOutMargin) -> str:
    rows = ceil(Z_POWER**2 * DISCORDANT_SHARE / margin.largest**2)
    return (
        f"{points(margin.smallest)} to {points(margin.largest)}, the least at which 80 % of the equal"
        f" versions pass with the pairs that a training reports; with {percent(DISCORDANT_SHARE)} discordant"
        f" ones {points(margin.largest)} need about {rows:,} rows"
    )
