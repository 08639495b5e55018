"""Which version to go back to."""

from collections.abc import Iterable

from sluicegate.policy.model.state import Accepted, Release


def previous(history: Iterable[Accepted]) -> Accepted | None:
    """The newest version that was stable and wasn't taken back itself; None when there is none."""
    return next((version for version in history if not version.withdrawn), None)


def named(history: Iterable[Accepted], version: str) -> Accepted | None:
    """The version of this name that a person asks for, be it one that was taken back."""
    return next((entry for entry in history if entry.release.version == version), None)


def kept(history: Iterable[Accepted], limit: int) -> tuple[Accepted, ...]:
    """The history within its limit; of a version that was stable twice only the later time."""
    seen: dict[Release, Accepted] = {}
    for entry in history:
        seen.setdefault(entry.release, entry)
    return tuple(seen.values())[:limit]
