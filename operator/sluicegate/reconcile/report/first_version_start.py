"""First versions on their way: since when, and for how long status needn't speak of them."""

from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.names import ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import Key
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.traffic.split_verification import VerificationLevel

QUIET_SECONDS: Final = 30.0
"""The first write of status is the one that says Ready, unless it takes longer than this."""
QUIET_SECONDS_EACH: Final = 0.1
"""… or than this for each product that starts at the same time: each waits for the others then,
and to say so of each would make all of them wait longer. Control planes were seen to bring up
fourteen a second."""


@dataclass(slots=True)
class FirstStarts:
    """Products without a version that serves, and since when each has been reconciled.

    Only in memory: after a restart all of them are reconciled again.

    Attributes
    ----------
    begun : since when by product, in seconds. term : since when this replica leads, in seconds.
    """

    begun: dict[Key, int] = field(default_factory=dict)
    term: int = 0

    def __contains__(self, key: Key) -> bool:
        """Whether a product was reconciled, and had no version that serves."""
        return key in self.begun

    def begin(self, product: DataProduct, now: int) -> int:
        """Since when the first version is waited for, in seconds; `now` if none is."""
        key = Key(*product.metadata.key)
        if product.status.stable is not None or product.spec.suspend:
            self.forget(key)
            return now
        return self.begun.setdefault(key, now)

    def end(self, key: Key, plan: Plan) -> None:
        """Status was written: once it has a stable version, the start is over."""
        if plan.status.stable is not None:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """A product is gone, or has a version that serves."""
        self.begun.pop(key, None)

    def quiet_seconds(self, product: DataProduct) -> float:
        """For how long its start needn't be reported; never longer than its pods may take."""
        longest = product.spec.serving.progress_deadline_seconds
        return min(max(QUIET_SECONDS, QUIET_SECONDS_EACH * len(self.begun)), longest)

    def can_wait(self, observation: Observation, plan: Plan) -> bool:
        """Nothing is lost if a first version's start isn't reported before the gateway takes it."""
        product = observation.product
        if (
            product.status.stable is not None
            or observation.conflict
            or observation.stalled
            or observation.refused
        ):
            return False
        begun = observation.begun
        if begun is None or observation.now - begun >= self.quiet_seconds(product):
            return False
        if plan.status.stable is None:
            conditions = report(observation, plan).conditions
            stalled = any(one.type == ConditionType.STALLED for one in conditions)
            return plan.status.candidate is not None and not stalled
        return (
            observation.split is not None and observation.split.level < VerificationLevel.ACCEPTED
        )
