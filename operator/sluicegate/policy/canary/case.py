"""A candidate that takes traffic, with everything that a verdict on it is made from."""

from dataclasses import dataclass

from sluicegate.api.rollout import Approval
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase
from sluicegate.policy.canary.rollout_time import RolloutTime, rollout_time
from sluicegate.policy.canary.slo_evidence import Assessment
from sluicegate.policy.canary.steps import next_share
from sluicegate.policy.model.decision import Hold
from sluicegate.policy.model.observed import Facts
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.rollout.approvals import ApprovalState


@dataclass(frozen=True, slots=True)
class CanaryCase:
    """One candidate, with the input of the canary checks.

    Attributes
    ----------
    terms : what it is judged by. status : of the product.
    assessment : what its blocks show. facts : what the cluster says.
    now : in seconds. approved : who has to agree to the last step does.
    approvals : of the parties that the spec names; None where it names none.
    forced : a person requests its promotion without evidence.
    objection : why it stays at its share; None when it may go on.
    blocks_unread : blocks of earlier terms of the operator may still be read back.
    """

    terms: Terms
    status: DataProductStatus
    candidate: Candidate
    assessment: Assessment
    facts: Facts
    now: int
    approved: bool = False
    approvals: ApprovalState | None = None
    forced: bool = False
    objection: Hold | None = None
    blocks_unread: bool = False

    @property
    def name(self) -> str:
        """Name of the candidate's version."""
        return self.candidate.release.version

    @property
    def time(self) -> RolloutTime:
        """Return the used and the remaining time of the rollout."""
        return rollout_time(
            self.terms, self.status, self.candidate, self.assessment.silences, now=self.now
        )

    @property
    def hold_prefix(self) -> str:
        """Return the beginning of each message that explains a hold."""
        return f"{self.name} stays at {self.candidate.weight} %"

    @property
    def is_last(self) -> bool:
        """Return whether the candidate has the traffic share of the last step."""
        return next_share(self.candidate, self.terms.steps) is None

    @property
    def needs_approval(self) -> bool:
        """Return whether the last step still requires a manual approval."""
        return self.terms.approval is Approval.MANUAL and not self.approved

    @property
    def has_passed(self) -> bool:
        """Return whether the candidate passed at the last step in an earlier evaluation and has waited since."""
        return self.is_last and self.candidate.phase is CandidatePhase.AWAITING_APPROVAL
