"""When no operator observed anything: terms without a leader, and jumps of the wall clock.

Blocks can be read back afterwards, but nothing could be decided meanwhile. What a decision does with
that is in policy/model/attended_time.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sluicegate.api.engine import MAX_ABSENCES, TimeInterval
from sluicegate.policy.model.attended_time import MIN_SECONDS
from sluicegate.runtime.clock import Clocks


@dataclass(slots=True)
class Attendance:
    """The absences that this process has observed.

    Attributes
    ----------
    clocks : of this machine. renewed : when the Lease was last renewed before this replica took it,
        in seconds by the wall clock of its holder; None where no replica held it before.
    term : since when this replica leads, in seconds; 0 before it does.
    """

    clocks: Clocks = field(default_factory=Clocks)
    renewed: Callable[[], float | None] = lambda: None
    term: int = 0
    _noted_absences: tuple[TimeInterval, ...] = ()
    _at: tuple[float, float] | None = None
    """Both clocks, when they were last read: the wall clock, and the steady one."""

    def begin_term(self) -> None:
        """Start a term, and record the absence before this replica became the leader."""
        wall_time, last_renewal = self.clocks.wall(), self.renewed()
        self.term = int(wall_time)
        self._at = wall_time, self.clocks.steady()
        if last_renewal is not None:
            self._note(last_renewal, wall_time)

    def absences(self) -> tuple[TimeInterval, ...]:
        """Return the absences until now, without those from before a clock step backwards."""
        wall_time, steady_seconds = self.clocks.wall(), self.clocks.steady()
        if self._at is not None:
            clock_step = (wall_time - self._at[0]) - (steady_seconds - self._at[1])
            self._note(wall_time - clock_step, wall_time)
        self._at = wall_time, steady_seconds
        self._noted_absences = tuple(
            absence for absence in self._noted_absences if absence.end <= wall_time
        )
        return self._noted_absences

    def _note(self, begin_time: float, end: float) -> None:
        if end - begin_time >= MIN_SECONDS:
            absence = TimeInterval(begin=int(begin_time), end=int(end))
            self._noted_absences = (*self._noted_absences, absence)[-MAX_ABSENCES:]
