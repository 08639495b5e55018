"""Identities of versions, as the spec names them."""

from sluicegate.api.names import DecisionReason
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import VersionBase
from sluicegate.policy.model.desired_model import referred_to
from sluicegate.policy.rollout.candidates import first_candidate
from sluicegate.reconcile.observe.observation import Observation


def with_first_candidate(observation: Observation, status: DataProductStatus) -> DataProductStatus:
    """Return the status with the first version as candidate; while suspended none starts."""
    if observation.is_frozen(status):
        return status.replace(candidate=None)
    first_start = observation.now if observation.first_start is None else observation.first_start
    first = first_candidate(
        observation.product, status, observation.desired, first_start, claims=not observation.lost
    )
    return status.replace(candidate=first)


def with_corrected_service(
    observation: Observation, status: DataProductStatus
) -> DataProductStatus:
    """Return the status in which a version that was refused for its entry service is new under another service."""
    model, spec_bento = status.spec_model, observation.desired
    if model is None or model.reason != DecisionReason.SERVICE_NOT_FOUND:
        return status
    failed = next(
        (
            past_version
            for past_version in status.history
            if past_version.revision == spec_bento.revision
        ),
        None,
    )
    if failed is None or failed.service == spec_bento.service:
        return status
    return status.replace(spec_model=None)


def with_names_of_spec(status: DataProductStatus, desired: VersionBase) -> DataProductStatus:
    """Return the status with the spec's name for a bento, and each version once.

    Parameters
    ----------
    desired : the version of spec.model.
    """
    return _without_duplicate(referred_to(status, desired))


def _without_duplicate(status: DataProductStatus) -> DataProductStatus:
    """Return the status without a candidate that equals the stable version under another name."""
    stable, candidate = status.stable, status.candidate
    if stable is None or candidate is None or candidate.revision != stable.revision:
        return status
    return status.replace(candidate=None)
