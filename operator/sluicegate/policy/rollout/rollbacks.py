"""The rollback of a candidate, or of a stable version: whatever decides it, it is made here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release
from sluicegate.policy.model.decision import Rollback

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
