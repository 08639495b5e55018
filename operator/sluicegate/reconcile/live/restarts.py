"""Containers that end again and again: how often, how the last run ended, and until when it counts. Pure.

The kubelet keeps the number of restarts of a container and the end of its last run. Both together
distinguish a loop from chance, also right after a restart of the operator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

LOOP_RESTARTS: Final = 3
"""Restarts of one container from which on they are no chance."""
SHORT_RUN_SECONDS: Final = 86_400
"""A container that ran for a day or longer before its last end isn't in a loop."""
QUIET_SECONDS: Final = 3600
"""After the last end a container counts as restarting for an hour, or for twice as long as it ran,
if that is longer."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """The restarts of a container.

    Attributes
    ----------
    container : its name. count : how often it was restarted.
    out_of_memory : it was killed at its memory limit.
    words : how its last run ended, in a sentence without a subject.
    ended_at : when that was, in seconds. ran : how long that run took, in seconds.
    """

    container: str
    count: int
    out_of_memory: bool
    words: str
    ended_at: int
    ran_seconds: int

    @property
    def calm_at(self) -> int:
        """Return when the container counts as stable unless it restarts again, in seconds."""
        return self.ended_at + max(QUIET_SECONDS, 2 * self.ran_seconds)

    def is_ongoing(self, now: int) -> bool:
        """Return whether the container keeps restarting."""
        return (
            self.count >= LOOP_RESTARTS
            and self.ran_seconds < SHORT_RUN_SECONDS
            and now < self.calm_at
        )


def restarts_of(containers: Iterable[Mapping[str, Any]]) -> Restarts | None:
    """Return the restarts of the most restarted container; None without a restart.

    Parameters
    ----------
    containers : `containerStatuses` of a pod, without those of init containers.
    """
    all_restarts = [restart for restart in map(_restarts, containers) if restart is not None]
    return max(all_restarts, key=lambda restart: restart.count, default=None)


def _restarts(container: Mapping[str, Any]) -> Restarts | None:
    last = (container.get("lastState") or {}).get("terminated") or {}
    end_time = _seconds(last.get("finishedAt"))
    if not container.get("restartCount") or end_time is None:
        return None
    out_of_memory = last.get("reason") == "OOMKilled"
    words = f"ended with {last.get('exitCode')} ({last.get('reason')})"
    if last_message := (last.get("message") or "").strip():
        words = f"{words}: {last_message}"
    start_time = _seconds(last.get("startedAt"))
    return Restarts(
        container=container["name"],
        count=container["restartCount"],
        out_of_memory=out_of_memory,
        words=words,
        ended_at=end_time,
        ran_seconds=0 if start_time is None else end_time - start_time,
    )


def _seconds(time_text: str | None) -> int | None:
    return int(datetime.fromisoformat(time_text).timestamp()) if time_text else None
