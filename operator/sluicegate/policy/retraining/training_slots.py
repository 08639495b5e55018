"""Who may train now: slots that the whole fleet shares, by priority and age."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

from sluicegate.api.product_info import Priority

AGEING_SECONDS: Final = 6 * 3600
"""Seconds after which a waiting product counts as one of the next higher priority: owners set the
priority, and Critical products would otherwise always go first."""


# ---- the portfolio --------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Applicant:
    """A product that requests or uses a training slot.

    Attributes
    ----------
    namespace, name : of the product. priority : of the product; the highest trains first.
    since : when it applied for the slot; among equals the longest wait comes first.
    served : when its namespace had a slot last; within a priority the least recent namespace comes
        first.
    challenger : the training is for a challenger of a healthy product, after all other trainings.
    """

    namespace: str
    name: str
    priority: Priority
    since: int
    served: int = 0
    challenger: bool = False

    def rank(self, now: int) -> int:
        """Return the product's priority, increased by one per six hours of waiting; 0 is the highest."""
        return max(self.priority.rank - max(now - self.since, 0) // AGEING_SECONDS, 0)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most trainings at once, in total and by namespace."""

    total: int = 2
    per_namespace: int = 1


def admit(
    waiting: Iterable[Applicant], running: Iterable[Applicant], budget: Budget, now: int
) -> tuple[Applicant, ...]:
    """Return the waiting trainings that may start now.

    Challengers go last. By priority, which rises with the wait; then those go first whose namespace
    has the fewest slots, then those whose namespace had one longest ago, then those that have
    waited longest.
    """
    taken_slots = Counter(applicant.namespace for applicant in running)

    def order(applicant: Applicant) -> tuple[bool, int, int, int, int, str, str]:
        has_training, share_rank = (
            taken_slots[applicant.namespace],
            (applicant.since, applicant.namespace, applicant.name),
        )
        return (
            applicant.challenger,
            applicant.rank(now),
            has_training,
            applicant.served,
            *share_rank,
        )

    admitted: list[Applicant] = []
    line = [(order(queued), queued) for queued in waiting]
    heapify(line)
    while line and taken_slots.total() < budget.total:
        rank, queued = heappop(line)
        if taken_slots[queued.namespace] >= budget.per_namespace:
            continue
        if rank != order(queued):  # its namespace has got a slot meanwhile
            heappush(line, (order(queued), queued))
            continue
        taken_slots[queued.namespace] += 1
        admitted.append(queued)
    return tuple(admitted)
