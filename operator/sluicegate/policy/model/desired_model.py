"""The version that spec.model requests now, from the spec and the stable version, in each pass.

Nothing here depends on having seen an edit. A revert that came while spec.suspend was set, while
the operator was away or while the spec was invalid leads to the same wish as one that was seen.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeVar

from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import Candidate, Release, VersionBase, VersionSource

VersionType = TypeVar("VersionType", bound=VersionBase)

LASTING_OUTCOMES: Final = frozenset({Outcome.IN_PROGRESS, Outcome.INCONCLUSIVE})
"""Outcomes of a spec.model whose candidate is there still, be it parked."""
_ACCEPTED_OUTCOMES: Final = frozenset({Outcome.PROMOTED, Outcome.SUPERSEDED})
"""Outcomes of a spec.model in whose place another version serves, and no fault was found in it."""


class RolloutStanding(StrEnum):
    """The state of the rollout of spec.model."""

    SERVES = "Serves"
    """Stable is it, or was retrained from it."""
    TRIED = "Tried"
    """Its rollout goes on, or waits for a retry."""
    HANDLED = "Handled"
    """It was tried, or a person chose another version: it isn't begun by itself."""
    WITHHELD = "Withheld"
    """It can't begin, as the spec has a mistake."""
    DUE = "Due"
    """Its rollout is to begin."""


@dataclass(frozen=True, slots=True)
class DesiredModel:
    """The version that spec.model requests, and the state of its rollout.

    Attributes
    ----------
    desired : what spec.model names.
    target : what is to serve for it: itself, or stable's bento in the runtime image of the spec
        where stable was retrained from it.
    standing : how far it is carried out.
    superseded : the candidate of an earlier spec.model, which the spec doesn't name any more.
    """

    desired: Release
    target: Release
    standing: RolloutStanding
    superseded: Release | None = None


def desired_model_of(
    status: DataProductStatus, release: Release | None, *, withheld: bool
) -> DesiredModel | None:
    """Return the versions that the spec requests; None before a version is stable, or without a spec.

    Parameters
    ----------
    desired : what spec.model names. withheld : it can't begin, as the spec has a mistake.
    """
    stable, model, trial = status.stable, status.spec_model, _candidate_of_spec(status)
    if release is None or stable is None:
        return None
    is_handled = model is not None and model.release == release
    is_lasting = is_handled and model is not None and model.outcome in LASTING_OUTCOMES
    is_in_force = _adopted(status, release) or (
        trial is not None and (trial.release == release or is_lasting)
    )
    target = _target(status, stable.release, release)
    if release == stable.release or (target == stable.release and _is_parent(status, release)):
        superseded = None if trial is None else trial.release
        return DesiredModel(release, stable.release, RolloutStanding.SERVES, superseded)
    superseded = trial.release if trial is not None and not is_in_force else None
    if is_in_force:
        standing = RolloutStanding.TRIED
    elif target == stable.release or (is_handled and not _is_interrupted(status, model)):
        standing = RolloutStanding.HANDLED
    else:
        standing = RolloutStanding.WITHHELD if withheld else RolloutStanding.DUE
    return DesiredModel(release, target, standing, superseded)


def with_spec_model(
    status: DataProductStatus, release: Release | None, now: int
) -> DataProductStatus:
    """Return the status with the spec.model that needs no rollout as handled, at `now` in seconds.

    The record follows the stable version: one that is in progress without a candidate was interrupted by
    a rollback, and isn't handled. While a candidate of the spec is there, the record is about that.
    """
    model = status.spec_model
    if _is_interrupted(status, model):
        status, model = status.replace(spec_model=None), None
    desired_model = desired_model_of(status, release, withheld=False)
    if (
        desired_model is None
        or desired_model.standing is not RolloutStanding.SERVES
        or _candidate_of_spec(status) is not None
    ):
        return status
    if (
        model is not None
        and model.outcome is Outcome.PROMOTED
        and model.release == desired_model.desired
    ):
        return status
    return status.replace(spec_model=SpecModel.of(desired_model.desired, Outcome.PROMOTED, now))


def referred_to(status: DataProductStatus, release: VersionBase) -> DataProductStatus:
    """Return the status with the spec's name for a bento, in all versions that have this bento.

    Where it is pulled from and what its entry service is called are no part of a version's identity,
    so they are taken in place. It keeps the name that it was accepted with, which its measurements
    bear.
    """
    named_fields = {"image": release.image, "service": release.service}

    def with_current_names(version: VersionType) -> VersionType:
        is_same_place = version.digest != release.digest or (
            version.image,
            version.service,
        ) == tuple(named_fields.values())
        return version if is_same_place else version.replace(**named_fields)

    update = {
        "stable": status.stable and with_current_names(status.stable),
        "candidate": status.candidate and with_current_names(status.candidate),
        "history": tuple(with_current_names(past_version) for past_version in status.history),
    }
    if all(getattr(status, name) == value for name, value in update.items()):
        return status
    return status.replace(**update)


def parent_of_next(status: DataProductStatus) -> str:
    """Return the bento of spec.model from which a version trained from stable now descends.

    That is stable's own where the spec names stable, or where stable came of no training.
    """
    stable, model = status.stable, status.spec_model
    if stable is None:
        return ""
    own_name = stable.image or stable.version
    is_named = model is not None and model.release == stable.release
    return own_name if is_named else status.descends_from or own_name


def _candidate_of_spec(status: DataProductStatus) -> Candidate | None:
    """Return the candidate of an earlier or the present spec.model."""
    trial = status.trial
    return trial if trial is not None and trial.source is VersionSource.SPEC else None


def _adopted(status: DataProductStatus, release: Release) -> bool:
    """Return whether spec.model names the retrained candidate whose rollout is in progress."""
    trial = status.trial
    return trial is not None and not trial.is_parked and trial.release == release


def _is_interrupted(status: DataProductStatus, model: SpecModel | None) -> bool:
    """Return whether the candidate of a spec.model was rolled back before its verdict."""
    return model is not None and model.outcome is Outcome.IN_PROGRESS and status.trial is None


def _is_parent(status: DataProductStatus, release: Release) -> bool:
    """Return whether stable was retrained from this bento, directly or over versions between."""
    parent = status.descends_from.rpartition("sha256:")[2]
    return bool(parent) and parent == release.identity[0]


def _target(status: DataProductStatus, stable: Release, release: Release) -> Release:
    """Return the version to serve for a spec.model: another runtime image restores no replaced model."""
    model = status.spec_model
    if release.is_renewal_of(stable):
        return release
    was_accepted = model is not None and model.outcome in _ACCEPTED_OUTCOMES
    if _is_parent(status, release) or (
        was_accepted and model is not None and release.is_renewal_of(model.release)
    ):
        return replace(stable, runtime_image=release.runtime_image)
    return release
