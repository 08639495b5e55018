"""Identities of versions: of the spec, the first one, restored and rolled back ones."""

from typing import Final, TypeVar

from sluicegate.api.model import counts_of
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, PastVersion, Release, VersionBase
from sluicegate.conditions import Finding

Known = TypeVar("Known", bound=VersionBase)

FIRST_SECONDS: Final = 30
"""What comes up within this counts as stable from its beginning."""


def first_candidate(
    product: DataProduct,
    status: DataProductStatus,
    wanted: VersionBase,
    begun: int,
    *,
    claims: bool = True,
) -> Candidate:
    """The version that is to serve first: it takes everything once it is ready.

    A new spec.model replaces one that isn't ready yet at once, without a verdict. Without a route,
    ready pods of that one stay until the new one's are there (`allocation.with_predecessors`).

    Parameters
    ----------
    begun : when this operator first saw it, in seconds: a product may be older than its operator.
    claims : its evaluation says how it did; not after a loss, when something else may have served.
    """
    before = status.candidate
    if before is not None and before.revision == wanted.revision:
        return before
    evaluation = counts_of(product.spec.model.evaluation) if claims else {}
    return Candidate(
        **wanted.replace(evaluation=evaluation).identity_fields,
        phase=CandidatePhase.STARTING,
        start_time=begun,
    )


def acceptance_time(candidate: Candidate, now: int) -> int:
    """When the first version counts as accepted, if it begins to serve at `now`, in seconds.

    One that comes up quickly is stable from its beginning: so its Deployment can say so when it is
    created, which saves a write for every product.
    """
    return candidate.start_time if now - candidate.start_time < FIRST_SECONDS else now


def returning_candidate(status: DataProductStatus, to: Release, now: int) -> Candidate | None:
    """The candidate that restores an earlier version; None if status no longer has it."""
    entry = next((one for one in status.history if one.release == to), None)
    if entry is None:
        return None
    return Candidate(
        **entry.identity_fields, phase=CandidatePhase.PROMOTING, start_time=now, restoring=True
    )


def refused_version(candidate: Candidate, outcome: Outcome, reason: str, now: int) -> PastVersion:
    """A rolled back candidate, for the history: it can't be restored."""
    return PastVersion(**candidate.identity_fields, outcome=outcome, reason=reason, end_time=now)


def referred_to(status: DataProductStatus, wanted: VersionBase) -> DataProductStatus:
    """The status with what the spec calls the bento that it names, wherever that is known already.

    Where it is pulled from and what its entry service is called are no part of a version's identity,
    so they are taken in place. It keeps the name that it was accepted with, which its measurements
    bear.
    """
    named = {"image": wanted.image, "service": wanted.service}

    def corrected(one: Known) -> Known:
        same = one.digest != wanted.digest or (one.image, one.service) == tuple(named.values())
        return one if same else one.replace(**named)

    update = {
        "stable": status.stable and corrected(status.stable),
        "candidate": status.candidate and corrected(status.candidate),
        "history": tuple(corrected(one) for one in status.history),
    }
    if all(getattr(status, name) == value for name, value in update.items()):
        return status
    return status.replace(**update)


def without_twin(status: DataProductStatus) -> DataProductStatus:
    """The status without a candidate that is stable under another name: there is nothing to try."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None or candidate.revision != stable.revision:
        return status
    return status.replace(candidate=None)


def version_reused(status: DataProductStatus, wanted: VersionBase) -> Finding | None:
    """Another digest under a version's name: measurements couldn't distinguish them."""
    for one in status.versions:
        if one.version == wanted.version and one.digest != wanted.digest and status.stable:
            text = (
                f"spec.model.bento.version: {wanted.version} is already the name of {one.image}:"
                " give the new bento a new version"
            )
            return Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED, text)
    return None
