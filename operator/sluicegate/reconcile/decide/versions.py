"""Which version is which: identities from the spec, the first one, those that come back or go."""

from typing import Final, TypeVar

from sluicegate.api.base import at
from sluicegate.api.names import ConditionReason, ConditionType
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus, SpecModelOutcome
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    Fate,
    PastVersion,
    VersionBase,
    VersionSource,
)
from sluicegate.conditions import Finding
from sluicegate.manifests.names import revision
from sluicegate.policy.model.state import Accepted, HandledModel, Memory, Release
from sluicegate.policy.model.terms import Terms
from sluicegate.policy.persistence.load import release_of
from sluicegate.policy.persistence.save import Identify
from sluicegate.policy.slo_health.baseline import from_evaluation
from sluicegate.policy.transitions import fresh_slos
from sluicegate.stats.counts import Count

Known = TypeVar("Known", bound=VersionBase)

FIRST_SECONDS: Final = 30
"""What comes up within this counts as stable from its beginning."""


def identifier(product: DataProduct, status: DataProductStatus) -> Identify:
    """How a release gets its revision, and the entry service that its bento has."""
    known: list[VersionBase] = [*status.history]
    known += [one for one in (status.candidate, status.stable) if one is not None]
    wanted = product.spec.model.bento
    services = {one.digest: one.service for one in known}
    sources = {one.revision: one.source for one in known}

    def identify(release: Release) -> VersionBase:
        digest = f"sha256:{release.image.rpartition('sha256:')[2]}"
        identity = revision(digest, release.runtime_image)
        return VersionBase(
            version=release.version,
            image=release.image,
            service=services.get(digest, wanted.service),
            runtime_image=release.runtime_image,
            revision=identity,
            source=sources.get(identity, VersionSource.SPEC),
        )

    return identify


def first_candidate(
    product: DataProduct,
    status: DataProductStatus,
    wanted: VersionBase,
    begun: int,
    *,
    claims: bool = True,
) -> Candidate:
    """The version that is to serve first: it takes everything once it is ready.

    A new spec.model replaces one that isn't ready yet at once: nobody uses it.

    Parameters
    ----------
    begun : when this operator first saw it, in seconds: a product may be older than its operator.
    claims : its evaluation says how it did; not after a loss, when something else may have served.
    """
    before = status.candidate
    if before is not None and before.revision == wanted.revision:
        return before
    return Candidate(
        **wanted.model_dump(),
        phase=CandidatePhase.PROMOTING,
        since=at(begun),
        evaluation=(product.spec.model.evaluation or {}) if claims else {},
    )


def first_memory(terms: Terms, candidate: Candidate, now: int) -> Memory:
    """What is remembered when the first version begins to serve.

    One that comes up quickly counts as stable from its beginning: so its Deployment can say so
    when it is created, which saves a write for every product.
    """
    begun = int(candidate.since.timestamp())
    now = begun if now - begun < FIRST_SECONDS else now
    release = release_of(candidate)
    evaluation = {slo: Count(one.bad, one.total) for slo, one in candidate.evaluation.items()}
    return Memory(
        stable=Accepted(
            release, now, candidate.source, from_evaluation(evaluation, terms.slos, now)
        ),
        slos=fresh_slos(terms, now),
        model=HandledModel(release, SpecModelOutcome.PROMOTED, now),
    )


def returning_candidate(status: DataProductStatus, to: Release, now: int) -> Candidate | None:
    """An earlier version on its way back; None when status doesn't keep it any more."""
    entry = next((one for one in status.history if release_of(one) == to), None)
    if entry is None:
        return None
    identity = {name: getattr(entry, name) for name in VersionBase.model_fields}
    return Candidate(**identity, phase=CandidatePhase.PROMOTING, since=at(now), returning=True)


def refused_version(candidate: Candidate, fate: Fate, reason: str, now: int) -> PastVersion:
    """A candidate that went back, for the history: it can be read, not returned to."""
    identity = {name: getattr(candidate, name) for name in VersionBase.model_fields}
    return PastVersion(**identity, fate=fate, reason=reason, until=at(now))


def referred_to(status: DataProductStatus, wanted: VersionBase) -> DataProductStatus:
    """The status with what the spec calls the bento that it names, wherever that is known already.

    Where it is pulled from and what its entry service is called are no part of a version's identity,
    so they are taken in place. It keeps the name that it was accepted with, which its measurements
    bear.
    """
    named = {"image": wanted.image, "service": wanted.service}

    def corrected(one: Known) -> Known:
        same = one.digest != wanted.digest or (one.image, one.service) == tuple(named.values())
        return one if same else one.model_copy(update=named)

    update = {
        "stable": status.stable and corrected(status.stable),
        "candidate": status.candidate and corrected(status.candidate),
        "history": tuple(corrected(one) for one in status.history),
    }
    if all(getattr(status, name) == value for name, value in update.items()):
        return status
    return status.model_copy(update=update)


def without_twin(status: DataProductStatus) -> DataProductStatus:
    """The status without a candidate that is stable under another name: there is nothing to try."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None or candidate.revision != stable.revision:
        return status
    return status.model_copy(update={"candidate": None})


def version_reused(status: DataProductStatus, wanted: VersionBase) -> Finding | None:
    """Another digest under a version's name: labels of measurements could no longer tell them."""
    known: list[VersionBase] = [*status.history]
    known += [one for one in (status.stable, status.candidate) if one is not None]
    for one in known:
        if one.version == wanted.version and one.digest != wanted.digest and status.stable:
            text = (
                f"spec.model.bento.version: {wanted.version} is already the name of {one.image}:"
                " give the new bento a new version"
            )
            return Finding(ConditionType.STALLED, "True", ConditionReason.VERSION_REUSED, text)
    return None
