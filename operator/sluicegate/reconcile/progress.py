"""Carries a rollout on by what is observed: pods first, then weight, then a look, then the rest.

A decision says where to go; this says how far one may go now. Each function takes a status and
gives the next, so a restart continues from what was written. Nothing here weighs evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.base import at
from sluicegate.api.canary import Candidate, CandidatePhase, Share
from sluicegate.api.names import DecisionReason
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.reconcile.blame import GRACE_SECONDS, Blame
from sluicegate.reconcile.layout import FULL, Layout, target_weight
from sluicegate.reconcile.pods import PodState
from sluicegate.reconcile.records import DeploymentRecord
from sluicegate.reconcile.verification import Level, Requests, Split, is_drained

PROMOTION_SECONDS: Final = 600
"""A promotion that the gateway hasn't taken by then, or only in part, is taken back."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """What is observed of a rollout, at one moment.

    Attributes
    ----------
    now : the moment, in seconds.
    live : Deployments by revision.
    split : how far the split in force is verified; None without a split.
    requests : of both versions since the last change of weight.
    trouble : the candidate's pod that tells best why it isn't ready.
    blame : whose trouble it would be that none is; None for a first version.
    """

    now: int
    live: Mapping[str, DeploymentRecord]
    split: Split | None = None
    requests: Requests = field(default_factory=Requests)
    trouble: PodState | None = None
    blame: Blame | None = None

    def ready(self, revision: str) -> int:
        """Ready pods of a version."""
        return self.live[revision].ready if revision in self.live else 0

    def pods(self, revision: str) -> int:
        """Pods of a version, ready or not."""
        return self.live[revision].total if revision in self.live else 0

    @property
    def accepted(self) -> bool:
        """Whether the weights in force are those of the route, and each Gateway took them."""
        return self.split is None or self.split.level >= Level.ACCEPTED


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing to do but wait."""


@dataclass(frozen=True, slots=True)
class ShareTaken:
    """The candidate's pods are there: it takes its share, which is to be written to the route."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class TurnedBack:
    """The candidate can't go on: its share goes to zero."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Completed:
    """The traffic was seen to follow: what was decided about the candidate has come true."""

    candidate: Candidate


Progress = Unchanged | ShareTaken | TurnedBack | Completed


def progress(
    product: DataProduct, status: DataProductStatus, layout: Layout, rolling: Rolling
) -> Progress:
    """How far the rollout of `status.candidate` may go now; there is a candidate.

    Parameters
    ----------
    layout : what the status asks for, so how many pods the candidate needs.
    """
    candidate = status.candidate
    assert candidate is not None
    wanted = layout.needed
    match candidate.phase:
        case CandidatePhase.STARTING | CandidatePhase.STEPPING | CandidatePhase.AWAITING_APPROVAL:
            return _step(product, candidate, rolling, wanted)
        case CandidatePhase.PROMOTING:
            return _promote(product, status, rolling, wanted)
        case CandidatePhase.ROLLING_BACK:
            gone = is_drained(rolling.requests, stable=False, pods=rolling.pods(candidate.revision))
            done = not candidate.shares or (
                rolling.accepted and gone and _judged(candidate, rolling)
            )
            return Completed(candidate) if done else Unchanged()
        case CandidatePhase.PARKED:
            return Unchanged()


def _step(product: DataProduct, candidate: Candidate, rolling: Rolling, wanted: int) -> Progress:
    """Take the next share once the pods for it are ready."""
    weight = target_weight(product.spec, candidate)
    if candidate.weight == weight:
        return Unchanged()
    if _is_ready(rolling, candidate, wanted):
        return ShareTaken(with_share(candidate, weight, rolling.now))
    return _given_up(product, candidate, rolling) or Unchanged()


def _promote(
    product: DataProduct, status: DataProductStatus, rolling: Rolling, wanted: int
) -> Progress:
    candidate, stable = status.candidate, status.stable
    assert candidate is not None
    if stable is None:
        ready = _is_ready(rolling, candidate, max(wanted, 1))
        return Completed(candidate) if ready else Unchanged()
    if candidate.weight < FULL:
        if _is_ready(rolling, candidate, wanted):
            return ShareTaken(with_share(candidate, FULL, rolling.now))
        return _given_up(product, candidate, rolling) or Unchanged()
    drained = is_drained(rolling.requests, stable=True, pods=rolling.pods(stable.revision))
    if rolling.accepted and drained:
        return Completed(candidate)
    if rolling.ready(stable.revision) and not rolling.ready(candidate.revision):
        return TurnedBack(_blamed(candidate, rolling, _why(rolling)))
    return _not_followed(candidate, rolling) or Unchanged()


def _not_followed(candidate: Candidate, rolling: Rolling) -> TurnedBack | None:
    """The traffic was seen not to follow. Where it merely can't be counted, the old pods wait."""
    split = rolling.split
    late = rolling.now - candidate.shares[-1].since.timestamp() > PROMOTION_SECONDS
    if split is None or not late or (rolling.accepted and not split.mismatched):
        return None
    reason = DecisionReason.TRAFFIC_NOT_VERIFIED
    return TurnedBack(turned_back(candidate, reason, split.message))


def _is_ready(rolling: Rolling, candidate: Candidate, wanted: int) -> bool:
    live = rolling.live.get(candidate.revision)
    return live is not None and live.current and live.ready >= max(wanted, 1)


def _given_up(product: DataProduct, candidate: Candidate, rolling: Rolling) -> TurnedBack | None:
    """Hopeless pods, or pods that took too long."""
    trouble = rolling.trouble
    own = candidate.returning or rolling.blame is None or rolling.blame.own
    if trouble is not None and trouble.hopeless and own:
        return TurnedBack(turned_back(candidate, _reason(trouble), trouble.trouble))
    begun = candidate.step_since or candidate.since
    waited = rolling.now - begun.timestamp()
    if waited <= product.spec.serving.progress_deadline_seconds:
        return None
    text = f"its pods weren't ready after {waited:.0f} s: {_why(rolling)}"
    return TurnedBack(_blamed(candidate, rolling, text))


def _judged(candidate: Candidate, rolling: Rolling) -> bool:
    """Whether it shows by now whose doing it was that no pod was ready."""
    if candidate.rollback_reason != DecisionReason.INFRASTRUCTURE or candidate.step_since is None:
        return True
    return rolling.now - candidate.step_since.timestamp() >= GRACE_SECONDS


def _blamed(candidate: Candidate, rolling: Rolling, text: str) -> Candidate:
    """The candidate on its way back; an earlier version that doesn't come up isn't tried again."""
    blame = rolling.blame
    if blame is None or candidate.returning:
        return turned_back(candidate, DecisionReason.CANARY_NOT_READY, text)
    back = turned_back(candidate, blame.reason, text)
    return back.model_copy(update={"step_since": at(rolling.now)})


def _reason(trouble: PodState) -> DecisionReason:
    if trouble.misnamed:
        return DecisionReason.SERVICE_NOT_FOUND
    if trouble.mismatch:
        return DecisionReason.RUNTIME_MISMATCH
    return DecisionReason.IMAGE_NOT_FOUND if trouble.absent else DecisionReason.CANARY_NOT_READY


def _why(rolling: Rolling) -> str:
    if rolling.trouble is not None:
        return rolling.trouble.trouble
    return rolling.blame.text if rolling.blame is not None else "the pods say nothing"


def with_share(candidate: Candidate, weight: int, now: int) -> Candidate:
    """The candidate with another share of the traffic, in percent."""
    phase = candidate.phase
    moment = at(now)
    update: dict[str, object] = {
        "weight": weight,
        "shares": (*candidate.shares, Share(weight=weight, since=moment)),
        "traffic_since": candidate.traffic_since or moment,
    }
    if phase is CandidatePhase.STARTING:
        update |= {"phase": CandidatePhase.STEPPING, "step": 1}
    return candidate.model_copy(update=update)


def turned_back(candidate: Candidate, reason: DecisionReason, message: str) -> Candidate:
    """The candidate on its way back: weight to zero first, pods after."""
    return candidate.model_copy(
        update={
            "phase": CandidatePhase.ROLLING_BACK,
            "rollback_reason": str(reason),
            "rollback_message": message,
        }
    )
