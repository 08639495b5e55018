"""Evaluation of a product's newest blocks by the functions of the operator."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.api.product import DataProduct
from sluicegate.cli.trials.explain_consumers import consumer_lines, consumers_as_object
from sluicegate.cli.trials.explain_markets import (
    MarketHarm,
    compare_markets_live,
    harms_as_object,
    in_words,
    of_candidate,
    states_as_object,
)
from sluicegate.cli.trials.newest_blocks import read_newest
from sluicegate.policy.derived_defaults import derived
from sluicegate.policy.evaluate import Evaluation, evaluate
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.policy.slo_health.messages import describe
from sluicegate.policy.slo_health.visibility import describe_visibility, visibility
from sluicegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Live:
    """Evaluation of a product's newest blocks, and the values derived from them."""

    product: DataProduct
    terms: Terms
    observed: Observed
    evaluation: Evaluation

    @property
    def lines(self) -> Iterator[str]:
        """Return the lines for people: the evaluation, and values that the spec leaves out."""
        yield from judged_lines(self.product, self.evaluation)
        rollout = self.product.status.candidate
        for harm in self.compared:
            yield f"  {of_candidate(harm)}"
        yield from consumer_lines(self.evaluation.assessment)
        if rollout is not None and rollout.derived is not None:
            yield f"rollout of {rollout.version}, derived when it started: {rollout.derived.message}"
        yield from derived_lines(self.terms, self.evaluation, self.observed)

    @property
    def as_object(self) -> dict[str, Any]:
        """Return the evaluation as JSON, without the derived values."""
        seconds = self.product.spec.analysis.block_seconds
        states = self.evaluation.markets or {}
        slos = [
            {
                "state": str(slo.state),
                "message": describe(slo, seconds),
                **states_as_object(states.get(slo.terms.name, ())),
            }
            for slo in self.evaluation.slos
        ]
        return {
            "state": str(self.evaluation.state),
            "slos": slos,
            **harms_as_object(self.compared),
            **consumers_as_object(self.evaluation.assessment),
        }

    @property
    def compared(self) -> tuple[MarketHarm, ...]:
        """Return the evidence that the candidate is worse in each market, the strongest first."""
        status = self.product.status
        return compare_markets_live(self.terms, status, self.observed, self.evaluation.assessment)


async def read_live(
    product: DataProduct, settings: Settings, consumers: Sequence[DataProduct] = ()
) -> Live:
    """Read and evaluate the newest blocks; inputs of the cluster are left out.

    Parameters
    ----------
    consumers : the products that `rollout.consumers` names, as far as they can be read.
    """
    terms = terms_of(product, settings.hour_seconds)
    observed = await read_newest(product, settings, consumers)
    evaluation = evaluate(terms, product.status, observed, int(time.time()))
    return Live(product, terms, observed, evaluation)


def judged_lines(product: DataProduct, evaluation: Evaluation) -> Iterator[str]:
    """Yield the evaluation of the newest blocks, a line each."""
    yield f"now: {evaluation.state}"
    for result in evaluation.slos:
        yield f"  {result.state}: {describe(result, product.spec.analysis.block_seconds)}"
        visible = visibility(result, product.spec.analysis.block_seconds)
        if visible is not None:
            yield f"    {describe_visibility(visible, result.terms.drop)}"
        for state in (evaluation.markets or {}).get(result.terms.name, ()):
            yield f"    {in_words(state)}"


def derived_lines(terms: Terms, evaluation: Evaluation, observed: Observed) -> Iterator[str]:
    """Yield the values that the spec leaves out, as derived from the newest blocks, a line each."""
    accepted = {
        slo.terms.name: slo.baseline.count for slo in evaluation.slos if slo.baseline is not None
    }
    values = list(derived(terms, accepted, observed))
    if values:
        yield "left out and derived:"
        yield from (f"  {line}" for line in values)
