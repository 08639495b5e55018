"""Pods that two versions exchange, where both together have no more than one alone. Pure.

With `rollout.capacity: Replace` a version gets a pod only for one that the other gives up. A batch is
exchanged at a time, so the rest serves all of the traffic meanwhile, and a share of the traffic needs
its part of the rest.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.product import DataProductSpec
from sluicegate.api.rollout import DEFAULT_STEPS, Capacity
from sluicegate.api.versions import FULL_WEIGHT

BATCHES: Final = 20
"""A batch is a pod of up to so many pods; of more, the same part of them, so that a weight of one percent
is never larger than a fifth of a batch."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The pods that two versions share.

    Attributes
    ----------
    pods : of both versions together, at most; two at least.
    demand : pods that all of the traffic needs; an autoscaler may ask for fewer than `pods`.
    """

    pods: int
    demand: int

    @property
    def batch(self) -> int:
        """Return how many pods are exchanged at a time."""
        return -(-self.pods // BATCHES)

    @property
    def serving(self) -> int:
        """Return the pods that serve all of the traffic while a batch is exchanged."""
        return max(1, min(self.demand, self.pods - self.batch))

    def needed(self, weight: int) -> int:
        """Return the pods that a share in percent needs, to within the half percent of its rounding."""
        if weight in (0, FULL_WEIGHT):
            return self.serving * weight // FULL_WEIGHT
        return -(-(2 * weight - 1) * self.serving // (2 * FULL_WEIGHT))

    def room_beside(self, weight: int) -> int:
        """Return the most pods of a version with this share in percent: the other one keeps those for the rest."""
        return self.pods - self.needed(FULL_WEIGHT - weight)

    def share_of(self, pods: int) -> int:
        """Return the share in percent for this number of ready pods; 100 only for all serving pods."""
        if pods >= self.serving:
            return FULL_WEIGHT
        rounded = (2 * FULL_WEIGHT * pods + self.serving) // (2 * self.serving)
        return min(FULL_WEIGHT - 1, rounded)


def exchange_of(spec: DataProductSpec, demand: int) -> Exchange | None:
    """Return the pods that two versions of a product share; None where a candidate has pods of its own."""
    if spec.rollout.capacity is not Capacity.REPLACE:
        return None
    return Exchange(spec.serving.max_replicas, demand)


def describe_exchange(spec: DataProductSpec) -> str:
    """Return the effect of rollout.capacity Replace on this product's rollouts; empty for Double."""
    exchange = exchange_of(spec, spec.serving.max_replicas)
    if exchange is None:
        return ""
    steps = spec.rollout.steps or DEFAULT_STEPS
    shares_text = ", ".join(f"{exchange.needed(step)} for {step} %" for step in steps)
    load = -(-FULL_WEIGHT * exchange.pods // exchange.serving)
    return (
        f"both versions have {exchange.pods} pods together, and exchange {exchange.batch} at a time;"
        f" meanwhile {exchange.serving} serve all requests, each up to {load} % of its usual ones. The"
        f" candidate has {shares_text} of the traffic; a rollback returns the traffic as pods of the"
        " stable version become ready"
    )
