"""Which steps a rollout takes where the spec names none: those at which requests enough come soon.

A step has to show some requests of the candidate. A share at which they take hours exposes no
fewer users, only the same number later; so with little traffic a rollout begins with a larger one.
"""

from dataclasses import replace
from typing import Final

from sluicegate.policy.canary.objections import LEAST_REQUESTS
from sluicegate.policy.model.observed import Observed
from sluicegate.policy.model.terms import Terms

SOON_SECONDS: Final = 900
"""Within which a step is to show its requests."""
RATE_BLOCKS: Final = 24
"""Blocks that the rate of requests is taken from."""


def fitted(terms: Terms, observed: Observed) -> Terms:
    """The terms with the default steps that the traffic can show; as they are, where a person chose."""
    if terms.steps_given:
        return terms
    rate = _requests_per_second(terms, observed)
    kept = tuple(
        share for share in terms.steps if share / 100 * rate * SOON_SECONDS >= LEAST_REQUESTS
    )
    if rate == 0 or kept == terms.steps:
        return terms
    return replace(terms, steps=kept or terms.steps[-1:])


def _requests_per_second(terms: Terms, observed: Observed) -> float:
    """Of all versions together, by the SLO that counts most."""
    now = observed.block
    sums: dict[str, int] = {}
    for series in observed.series.values():
        for name, one in series.items():
            sums[name] = sums.get(name, 0) + one.window(now, RATE_BLOCKS).total
    return max(sums.values(), default=0) / (RATE_BLOCKS * terms.block_seconds)
