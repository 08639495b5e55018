"""SLOs that an edit of their objective makes missed at once, by the numbers of the live status. Pure."""

from collections.abc import Iterator

from sluicegate.api.product import DataProduct
from sluicegate.api.retraining import RetrainingMode
from sluicegate.api.slo_status import SloStatus
from sluicegate.cli.trials.planned_objects import Effect, PlannedOutcome
from sluicegate.policy.model.terms import SloTerms, Terms
from sluicegate.stats.intervals import Z95, wilson_lower
from sluicegate.views.numbers import events, percent


def planned_objectives(live: DataProduct, edited: DataProduct, terms: Terms) -> Iterator[Effect]:
    """Yield each SLO that misses its new objective at present: its numbers, and what follows.

    Parameters
    ----------
    terms : those of the edited product.
    """
    slos_before = {slo.name: slo for slo in live.spec.slos}
    numbers_by_name = {slo.name: slo for slo in live.status.slos}
    terms_by_name = {slo.name: slo for slo in terms.slos}
    for slo in edited.spec.slos:
        before, numbers = slos_before.get(slo.name), numbers_by_name.get(slo.name)
        allowed_bad = slo.allowed_bad
        if before is None or numbers is None or allowed_bad is None:
            continue
        if slo.indicator != before.indicator or (before.allowed_bad or 1.0) <= allowed_bad:
            continue  # other events are counted, or the objective wasn't raised
        if numbers.total and wilson_lower(numbers.bad or 0, numbers.total, Z95) > allowed_bad:
            text = (
                f"{slo.name} is below its new objective: {_numbers_text(numbers)}, and"
                f" {percent(1 - allowed_bad)} are required; {_consequence(terms_by_name[slo.name], terms)}"
            )
            yield Effect(PlannedOutcome.DEGRADED, text)


def _numbers_text(numbers: SloStatus) -> str:
    """Return the share of good events at present, and at acceptance where that is known."""
    total = numbers.total or 0
    text = f"{percent(1 - (numbers.bad or 0) / total)} ({events(total)}) at present"
    if numbers.baseline_ratio is None:
        return text
    return f"{text}, {percent(float(numbers.baseline_ratio))} at acceptance"


def _consequence(slo: SloTerms, terms: Terms) -> str:
    """Return the operator's response to a product that misses this SLO."""
    if not slo.deciding:
        return "the product's state doesn't follow it (onDegraded: Ignore)"
    degraded = "the product becomes Degraded"
    retraining = terms.retraining
    if not slo.is_retrained or retraining is None or retraining.mode is RetrainingMode.DISABLED:
        return f"{degraded}, and no training follows"
    if retraining.mode is RetrainingMode.MANUAL:
        return f"{degraded}, and a training waits for a person (spec.retraining.mode Manual)"
    if terms.suspend:
        return f"{degraded}, and a training starts once spec.suspend is unset"
    return f"{degraded}, and a training starts unless the diagnosis finds a cause outside the model"
