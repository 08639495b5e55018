"""Versions of a history with their recorded promotions, independent of a policy's decisions.

This is for questions about the versions that served: when each would have degraded. Rollouts aren't
evaluated; a version is accepted with its hold-out counts at the time of its promotion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release, VersionSource
from sluicegate.policy.model.decision import Promote
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.candidates import started_candidate
from sluicegate.policy.rollout.decision_status import carry_out_at_once
from sluicegate.policy.rollout.rollbacks import roll_back_stable
from sluicegate.simulation.replay_scenario import (
    Event,
    ModelChanged,
    Promoted,
    Retrained,
    RetrainingFailed,
)
from sluicegate.stats.counts import Count

_PROMOTED_IN_HISTORY = "it was promoted in the history"


@dataclass(slots=True)
class FollowedHistory:
    """Versions of the history so far, by name."""

    terms: Terms
    _evaluations: dict[str, Mapping[str, Count]] = field(default_factory=dict)
    _retrained: set[str] = field(default_factory=set)

    def after(self, status: DataProductStatus, event: Event, event_time: int) -> DataProductStatus:
        """Return the status after an event of the history; a training ends with its result.

        Parameters
        ----------
        at : time of the event, in seconds.
        """
        match event:
            case ModelChanged(version, evaluation):
                self._evaluations[version] = evaluation
                return status
            case Retrained(version, evaluation):
                self._evaluations[version] = evaluation
                self._retrained.add(version)
                return _without_training(status)
            case RetrainingFailed():
                return _without_training(status)
            case Promoted(version):
                return self._promoted(_without_training(status), version, event_time)

    def _promoted(
        self, status: DataProductStatus, version: str, promotion_time: int
    ) -> DataProductStatus:
        stable, release = status.stable, Release(version)
        if stable is None or stable.release == release:
            return status
        if any(past_version.release == release for past_version in status.accepted_versions):
            rollback_decision = roll_back_stable(
                status, release, Reason.ROLLBACK_REQUESTED, _PROMOTED_IN_HISTORY
            )
            return carry_out_at_once(self.terms, status, rollback_decision, promotion_time)
        candidate = started_candidate(
            release,
            VersionSource.RETRAINING if version in self._retrained else VersionSource.SPEC,
            promotion_time,
            evaluation=dict(self._evaluations.get(version, {})),
        )
        promote_decision = Promote(
            reason=Reason.CANARY_NOT_WORSE, message=_PROMOTED_IN_HISTORY, candidate=release
        )
        return carry_out_at_once(
            self.terms, status.replace(candidate=candidate), promote_decision, promotion_time
        )


def _without_training(status: DataProductStatus) -> DataProductStatus:
    """Return the status without a running training."""
    return status if status.training is None else status.with_retraining(trigger=None)
