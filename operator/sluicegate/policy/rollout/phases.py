"""The phases of a candidate: what leads from each to the next. Each write of a phase is checked here.

docs/architecture.md has the table as a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluicegate.api.versions import CandidatePhase as Phase


class PhaseCause(StrEnum):
    """The event that writes the phase of a candidate, or ends its rollout."""

    FIRST = "spec.model is the first version"
    START = "StartRollout"
    SHARE = "its pods are ready for a share"
    HAS_PASSED = "Alert, as it has passed and needs approval"
    PROMOTE = "Promote"
    RESTORE = "Rollback of stable to this version"
    ROLL_BACK = "Rollback, Inconclusive, or another version starts"
    LOST = "status was lost"
    PARK = "its traffic has returned, without a verdict"
    SERVE = "it serves all traffic"
    RETURN = "its traffic has returned"
    REPLACE = "another version starts"


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """The allowed phases before a cause, and the phase after it; None stands for no rollout."""

    phases_before: tuple[Phase | None, ...]
    phase_after: Phase | None


_TRIAL_PHASES: Final = (Phase.STARTING, Phase.STEPPING, Phase.AWAITING_APPROVAL)
CHANGES: Final[Mapping[PhaseCause, PhaseChange]] = {
    PhaseCause.FIRST: PhaseChange((None,), Phase.STARTING),
    PhaseCause.START: PhaseChange((None, Phase.PARKED), Phase.STARTING),
    PhaseCause.SHARE: PhaseChange(_TRIAL_PHASES, Phase.STEPPING),
    PhaseCause.HAS_PASSED: PhaseChange((Phase.STEPPING,), Phase.AWAITING_APPROVAL),
    PhaseCause.PROMOTE: PhaseChange((Phase.STEPPING, Phase.AWAITING_APPROVAL), Phase.PROMOTING),
    PhaseCause.RESTORE: PhaseChange((None,), Phase.PROMOTING),
    PhaseCause.ROLL_BACK: PhaseChange(
        (*_TRIAL_PHASES, Phase.PROMOTING, Phase.PARKED), Phase.ROLLING_BACK
    ),
    PhaseCause.LOST: PhaseChange((None,), Phase.ROLLING_BACK),
    PhaseCause.PARK: PhaseChange((Phase.ROLLING_BACK,), Phase.PARKED),
    PhaseCause.SERVE: PhaseChange((Phase.STARTING, Phase.PROMOTING), None),
    PhaseCause.RETURN: PhaseChange((Phase.ROLLING_BACK,), None),
    PhaseCause.REPLACE: PhaseChange((Phase.STARTING, Phase.PARKED), None),
}
"""In the order of a rollout. A first version takes no share before it serves."""


def next_phase(phase_before: Phase | None, cause: PhaseCause) -> Phase:
    """Return the phase after a cause. ValueError if the cause isn't possible in `phase_before`."""
    change = CHANGES[cause]
    if change.phase_after is None or phase_before not in change.phases_before:
        raise ValueError(
            f"status.candidate.phase {phase_before or 'None'}: no phase follows by: {cause}"
        )
    return change.phase_after
