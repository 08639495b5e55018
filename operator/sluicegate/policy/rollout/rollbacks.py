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
from sluicegate.policy.model.terms import Terms
from sluicegate.slo.budget import WINDOW_HOURS
from sluicegate.views.numbers import counted_events, duration

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


def served_text(terms: Terms, status: DataProductStatus, observed: Observed, now: int) -> str:
    """Return how long the stable version was stable, and how many of its events are counted; `now` in seconds."""
    stable = status.stable
    assert stable is not None
    length = terms.calendar.blocks(WINDOW_HOURS)
    since = stable.promotion_time // terms.block_seconds
    all_series = (observed.counts(stable.version, slo.name) for slo in terms.slos)
    total = max(
        (
            series.window(observed.block, length, since).total
            for series in all_series
            if series is not None
        ),
        default=0,
    )
    is_longer = observed.block - since > length
    window = f" in the last {duration(length * terms.block_seconds)}" if is_longer else ""
    were = "was" if total == 1 else "were"
    counted = f"; {counted_events(total)} of it {were} counted{window}" if total else ""
    return f"{stable.version} was stable for {duration(now - stable.promotion_time)}{counted}"


def consumer_rollback(
    terms: Terms, status: DataProductStatus, observed: Observed, now: int
) -> Rollback | None:
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
                f" probation, so {target.version} replaces {stable.version}."
                f" {served_text(terms, status, observed, now)}"
            )
            reason = DecisionReason.PROBATION_FAILED
            return roll_back_stable(status, target.release, reason, text)
    return None
