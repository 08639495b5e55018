"""Products that wait for nothing but their first block.

Thousands may be created at once, and each block that settles would be a reason to reconcile all of
them, though it says nothing of a version that was just accepted.
"""

from typing import Final

from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.reconcile.decide.planner import Plan
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.stats.canary_duration import WARM_UP_BLOCKS

_UNREAD_QUALITIES: Final = frozenset(
    {
        DecisionReason.BACKFILLING,
        DecisionReason.NO_DATA,
        DecisionReason.NO_FEEDBACK_KEY,
        DecisionReason.NO_TRAFFIC,
        DecisionReason.WARMING_UP,
    }
)
"""Text for a version without data in its first blocks, while this is expected."""


def is_unread(status: DataProductStatus) -> bool:
    """Return whether no SLO has a state, for a reason that holds in a version's first blocks only."""
    return all(slo.reason in _UNREAD_QUALITIES for slo in status.slos)


def just_took_over(stable: Version, block_seconds: int, *, now: int) -> bool:
    """Return whether the block after a version's warm-up can't have been read yet; `now` in seconds."""
    # One more as it took over within a block, one to be judged by, one until that is read.
    return now < stable.promotion_time + (WARM_UP_BLOCKS + 3) * block_seconds


def only_warms_up(observation: Observation, plan: Plan) -> bool:
    """Return whether a product's first version serves without objection and nothing else changes.

    The last report counts too: the end of a problem must be reported.
    """
    previous_status, next_status = observation.product.status, plan.status
    if next_status.stable is None or next_status.candidate is not None or next_status.history:
        return False
    live = observation.live.get(next_status.stable.revision)
    return (
        next_status.stable.digest == observation.desired.digest
        and next_status.retraining is None
        and not observation.observed.requests
        and not (observation.conflict or observation.stalled or observation.write_refusal)
        and live is not None
        and live.ready >= live.replicas
        and is_unread(previous_status)
        and is_unread(next_status)
    )
