"""Earlier versions: the one that a rollback restores, and those that are kept."""

from collections.abc import Iterable
from typing import Final

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import PastVersion, Release

MAX_VERSIONS: Final = 20
"""Versions that status can hold, those that were refused among them."""


def previous(history: Iterable[PastVersion]) -> PastVersion | None:
    """Return the newest past version that was stable and wasn't rolled back; None without one."""
    return next((version for version in history if not version.rolled_back), None)


def restorable_version(status: DataProductStatus) -> PastVersion | None:
    """Return the version that a rollback of stable restores; None if all kept versions were rolled back."""
    if status.probation is not None:
        for entry in status.accepted_versions:
            if entry.version == status.probation.against and not entry.rolled_back:
                return entry
    return previous(status.accepted_versions)


def version_named(history: Iterable[PastVersion], version: str) -> PastVersion | None:
    """Return the past version with a requested name, even if it was rolled back."""
    return next((entry for entry in history if entry.version == version), None)


def with_accepted(
    status: DataProductStatus, accepted: Iterable[PastVersion], limit: int
) -> tuple[PastVersion, ...]:
    """Return the history with more past stable versions, within its limits, newest first.

    Of a version that was stable twice only the later time is kept; versions that were refused take
    the room that is left.
    """
    versions: dict[Release, PastVersion] = {}
    for entry in accepted:
        versions.setdefault(entry.release, entry)
    kept_versions = tuple(versions.values())[:limit]
    refused_versions = [
        past_version for past_version in status.history if past_version.promotion_time is None
    ]
    places_left = max(MAX_VERSIONS - len(kept_versions), 0)
    return newest_first((*kept_versions, *refused_versions[:places_left]))


def newest_first(history: Iterable[PastVersion]) -> tuple[PastVersion, ...]:
    """Return past versions, newest first; for equal times, versions that were stable first."""
    return tuple(
        sorted(
            history,
            key=lambda past_version: (-past_version.end_time, past_version.promotion_time is None),
        )
    )
