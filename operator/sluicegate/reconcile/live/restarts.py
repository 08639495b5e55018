"""Containers that end again and again: how often, how the last run ended, and until when it counts. Pure.

The kubelet keeps the number of restarts of a container and the end of its last run. Both together
distinguish a loop from chance, also right after a restart of the operator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

MANY: Final = 3
"""Restarts of one container from which on they are no chance."""
SHORT_RUN_SECONDS: Final = 86_400
"""A container that ran for a day or longer before its last end isn't in a loop."""
QUIET_SECONDS: Final = 3600
"""After the last end a container counts as restarting for an hour, or for twice as long as it ran,
if that is longer."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of one container of a pod.

    Attributes
    ----------
    container : its name. count : how often it was restarted.
    killed : it was killed at its memory limit.
    words : how its last run ended, in a sentence without a subject.
    ended_at : when that was, in seconds. ran : how long that run took, in seconds.
    """

    container: str
    count: int
    killed: bool
    words: str
    ended_at: int
    ran: int

    @property
    def calm_at(self) -> int:
        """When the container counts as well again, if it isn't restarted meanwhile, in seconds."""
        return self.ended_at + max(QUIET_SECONDS, 2 * self.ran)

    def goes_on(self, now: int) -> bool:
        """Return whether the container ends again and again."""
        return self.count >= MANY and self.ran < SHORT_RUN_SECONDS and now < self.calm_at


def restarts_of(containers: Iterable[Mapping[str, Any]]) -> Restarts | None:
    """Return the restarts of the container that was restarted most; None without a restart.

    Parameters
    ----------
    containers : `containerStatuses` of a pod, without those of init containers.
    """
    found = [one for one in map(_restarts, containers) if one is not None]
    return max(found, key=lambda one: one.count, default=None)


def _restarts(container: Mapping[str, Any]) -> Restarts | None:
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = _seconds(last.get("finishedAt"))
    if not container.get("restartCount") or ended is None:
        return None
    killed = last.get("reason") == "OOMKilled"
    words = f"ended with {last.get('exitCode')} ({last.get('reason')})"
    if said := (last.get("message") or "").strip():
        words = f"{words}: {said}"
    began = _seconds(last.get("startedAt"))
    return Restarts(
        container=container["name"],
        count=container["restartCount"],
        killed=killed,
        words=words,
        ended_at=ended,
        ran=0 if began is None else ended - began,
    )


def _seconds(at: str | None) -> int | None:
    return int(datetime.fromisoformat(at).timestamp()) if at else None
