"""Construction of each rollback of a candidate or a stable version."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release
from sluicegate.policy.model.decision import Rollback
from sluicegate.policy.model.history import restorable_version
from sluicegate.policy.model.observed import Observed

_NO_NUMBERS: Final[Mapping[str, float]] = MappingProxyType({})


def roll_back_candidate(
    status: DataProductStatus,
    reason: DecisionReason,
    message: str,
    *,
    cause: str = "",
    numbers: Mapping[str, float] = _NO_NUMBERS,
) -> Rollback:
    """Return the rollback of the candidate: all traffic returns to stable; requires both."""
    assert status.candidate is not None
    assert status.stable is not None
    return Rollback(
        reason=reason,
        message=message,
        numbers=numbers,
        leaving=status.candidate.release,
        to=status.stable.release,
        cause=cause,
    )


def roll_back_stable(
    status: DataProductStatus,
    target: Release,
    reason: DecisionReason,
    message: str,
    *,
    numbers: Mapping[str, float] = _NO_NUMBERS,
) -> Rollback:
    """Return the rollback of the stable version: `target` gets all traffic; requires a stable version."""
    assert status.stable is not None
    leaving = status.stable.release
    return Rollback(reason=reason, message=message, numbers=numbers, leaving=leaving, to=target)


def consumer_rollback(status: DataProductStatus, observed: Observed) -> Rollback | None:
    """Return the rollback of a version on probation that degraded a consumer; None without one.

    The consumer counts as in a canary: its `dependsOn[].evidence` and the `rollout.consumers` of this
    product have to name each other. A version that was degraded when it was replaced is not restored.
    """
    stable, target = status.stable, restorable_version(status)
    if stable is None or status.probation is None or target is None or target.degraded:
        return None
    counted_consumers = {
        reading.name for reading in observed.consumer_readings if reading.terms is not None
    }
    for consumer in observed.facts.degraded_consumers:
        if consumer.version == stable.version and consumer.consumer in counted_consumers:
            text = (
                f"{consumer.consumer} is degraded by {stable.version}: {consumer.message}; it is still on"
                f" probation, so {target.version} replaces {stable.version}"
            )
            reason = DecisionReason.PROBATION_FAILED
            return roll_back_stable(status, target.release, reason, text)
    return None
