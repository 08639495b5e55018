"""Identities of versions, as the spec names them."""

from typing import TypeVar

from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.policy.rollout.candidates import first_candidate
from sluicegate.reconcile.observe.observation import Observation

Known = TypeVar("Known", bound=VersionBase)


def with_first_candidate(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the version that is to serve first; none is started while suspended."""
    if observation.is_frozen(status):
        return status.replace(candidate=None)
    begun = observation.now if observation.begun is None else observation.begun
    first = first_candidate(
        observation.product, status, observation.wanted, begun, claims=not observation.lost
    )
    return status.replace(candidate=first)


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
