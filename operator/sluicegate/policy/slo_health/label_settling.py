"""When the labels of a version are again those of predictions at one share of the traffic.

Where right and wrong predictions get their labels at different times, a change of the traffic changes
the mixture of both for as long as the later labels take: a version that has just got all traffic has
the quick labels of many predictions and the slow ones of few. So its labels count again once those
of the predictions since the change have come. A canary compares labels of the same ages
(docs/adr/0022) and measures meanwhile how long that takes.
"""

from collections.abc import Sequence
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import FULL_WEIGHT, Share, Version
from sluicegate.policy.model.terms import SloTerms

CHANGED_SHARE: Final = 1.2
"""Factor of its share from which on a version's labels have to settle."""


def settle_time(status: DataProductStatus, stable: Version, slo: SloTerms) -> int:
    """Return the time until which stable's labels settle, in seconds; 0 without settling labels.

    An SLO that is degraded stays so by all labels: its evidence is older than the change.
    """
    if status.engine.slo(slo.name).degraded:
        return 0
    seconds = slo.label_lag_seconds or status.engine.label_settling.get(slo.name, 0)
    if not seconds:
        return 0
    shares = () if status.candidate is None else status.candidate.shares
    returned = status.engine.traffic_return_time or 0
    return max(stable.promotion_time, returned, _last_change_time(shares)) + seconds


def returns_traffic(shares: Sequence[Share]) -> bool:
    """Return whether the end of a rollout with these shares changes stable's share much."""
    return bool(shares) and _differs_much(
        FULL_WEIGHT, FULL_WEIGHT - max(share.weight for share in shares)
    )


def _last_change_time(shares: Sequence[Share]) -> int:
    """Return when a rollout last changed stable's share much, in seconds; 0 if none did."""
    share_before, changed = FULL_WEIGHT, 0
    for share in shares:
        stable_share = FULL_WEIGHT - share.weight
        if _differs_much(share_before, stable_share):
            share_before, changed = stable_share, share.start_time
    return changed


def _differs_much(value: int, other: int) -> bool:
    low, high = sorted((value, other))
    return high > CHANGED_SHARE * low
