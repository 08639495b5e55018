"""When a shadow phase runs beside a rollout, and when its next Job may start."""

from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.status import DataProductStatus


def is_tried(status: DataProductStatus) -> bool:
    """Return whether a candidate is under trial beside stable, so that a shadow phase runs."""
    candidate = status.trial
    if candidate is None or status.stable is None or status.carried_out:
        return False
    return not candidate.is_parked


def is_due(shadow: ShadowStatus, interval: int, now: int) -> bool:
    """Return whether the next scoring Job may start: one interval after the last one, with an SLO to score."""
    last_begin = (
        shadow.since_time
        if shadow.start_time is None
        else max(shadow.start_time, shadow.since_time)
    )
    return not shadow.job and now >= last_begin + interval
