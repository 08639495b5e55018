"""What spec.model asks of the versions, from the spec and the stable version, whatever came before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluicegate.api.outcome import Outcome
from sluicegate.api.status import DataProductStatus, SpecModel
from sluicegate.api.versions import PastVersion, Version, VersionSource
from sluicegate.policy.model.desired_model import RolloutStanding, desired_model_of, with_spec_model
from tests.support.decisions.judged import START, V1, V2, V3, candidate, parked, serving

RETRAINED = replace(V3, version="v1-retrained")
ANOTHER_RUNTIME = replace(V1, runtime_image="registry.example/runtime@sha256:new")


def retrained(**fields: object) -> DataProductStatus:
    """Return a product whose stable version was retrained from v1."""
    stable = Version.of(
        RETRAINED, VersionSource.RETRAINING, promotion_time=START, descends_from=V1.image
    )
    return serving(**{"stable": stable, **fields})


def handled(release, outcome):
    """Return the record of a spec.model."""
    return SpecModel.of(release, outcome, START)


TRIED = {"candidate": candidate(5), "spec_model": handled(V2, Outcome.IN_PROGRESS)}


@pytest.mark.parametrize(
    ("status", "desired", "standing", "superseded"),
    [
        pytest.param(serving(), V1, RolloutStanding.SERVES, None, id="stable is named"),
        pytest.param(serving(), V2, RolloutStanding.DUE, None, id="another bento begins"),
        pytest.param(serving(**TRIED), V2, RolloutStanding.TRIED, None, id="what is tried goes on"),
        pytest.param(serving(**TRIED), V1, RolloutStanding.SERVES, V2, id="a revert ends what is tried"),
        pytest.param(
            serving(**TRIED | {"spec_model": handled(V1, Outcome.PROMOTED)}),
            V1, RolloutStanding.SERVES, V2,
            id="a revert that was recorded before ends it too",
        ),
        pytest.param(serving(**TRIED), V3, RolloutStanding.DUE, V2, id="a third one begins in its place"),
        pytest.param(
            serving(candidate=parked(candidate(5)), spec_model=handled(V2, Outcome.INCONCLUSIVE)),
            V1, RolloutStanding.SERVES, V2,
            id="a revert ends what waits for another try",
        ),
        pytest.param(
            serving(candidate=candidate(5, source=VersionSource.RETRAINING)),
            V1, RolloutStanding.SERVES, None,
            id="a retrained candidate isn't the spec's to end",
        ),
        pytest.param(
            serving(candidate=candidate(5, source=VersionSource.RETRAINING)),
            V2, RolloutStanding.TRIED, None,
            id="a retrained candidate that the spec comes to name goes on",
        ),
        pytest.param(
            serving(spec_model=handled(V2, Outcome.ROLLED_BACK)), V2, RolloutStanding.HANDLED, None,
            id="what was rejected isn't tried again",
        ),
        pytest.param(
            serving(spec_model=handled(V2, Outcome.IN_PROGRESS)), V2, RolloutStanding.DUE, None,
            id="what a rollback interrupted begins again",
        ),
        pytest.param(retrained(), V1, RolloutStanding.SERVES, None, id="stable was retrained from it"),
        pytest.param(
            retrained(**TRIED), V1, RolloutStanding.SERVES, V2,
            id="a revert to what stable was retrained from ends what is tried",
        ),
        pytest.param(
            retrained(spec_model=handled(V2, Outcome.ROLLED_BACK)), V1, RolloutStanding.SERVES, None,
            id="a revert after a rejection is as before",
        ),
        pytest.param(
            retrained(), ANOTHER_RUNTIME, RolloutStanding.DUE, None,
            id="a retrained version is tried in another runtime image",
        ),
    ],
)  # fmt: skip
def test_a_spec_model_is_rolled_out_rejected_or_unchanged_by_its_history(
    status, desired, standing, superseded
):
    wish = desired_model_of(status, desired, withheld=False)
    assert (wish.standing, wish.superseded) == (standing, superseded)


@pytest.mark.parametrize(
    ("status", "desired", "standing", "superseded"),
    [
        (serving(), V2, RolloutStanding.WITHHELD, None),
        (serving(**TRIED), V2, RolloutStanding.TRIED, None),
        (serving(**TRIED), V3, RolloutStanding.WITHHELD, V2),
        (serving(**TRIED), V1, RolloutStanding.SERVES, V2),
    ],
    ids=["nothing begins", "what is tried goes on", "what it doesn't name ends", "so by a revert"],
)
def test_an_invalid_spec_starts_no_rollout_and_supersedes_no_candidate(
    status, desired, standing, superseded
):
    wish = desired_model_of(status, desired, withheld=True)
    assert (wish.standing, wish.superseded) == (standing, superseded)


def test_a_new_runtime_image_for_a_retrained_version_keeps_the_retrained_bento():
    wish = desired_model_of(retrained(), ANOTHER_RUNTIME, withheld=False)
    assert wish.target == replace(RETRAINED, runtime_image=ANOTHER_RUNTIME.runtime_image)


def test_the_parent_of_a_version_in_a_status_of_an_earlier_release_comes_from_its_history():
    stable = Version.of(RETRAINED, VersionSource.RETRAINING, promotion_time=START)
    past = {"outcome": Outcome.REPLACED, "promotion_time": 1}
    history = (
        PastVersion.of(
            V2, VersionSource.SPEC, end_time=9, promotion_time=2, outcome=Outcome.ROLLED_BACK
        ),
        PastVersion.of(V1, VersionSource.SPEC, end_time=8, **past),
    )
    assert serving(stable=stable, history=history).descends_from == V1.image


@pytest.mark.parametrize(
    ("status", "desired", "outcome"),
    [
        (serving(), V1, Outcome.PROMOTED),
        (serving(spec_model=handled(V1, Outcome.ROLLED_BACK)), V1, Outcome.PROMOTED),
        (retrained(spec_model=handled(V2, Outcome.ROLLED_BACK)), V1, Outcome.PROMOTED),
        (serving(**TRIED), V1, Outcome.IN_PROGRESS),
        (serving(spec_model=handled(V2, Outcome.IN_PROGRESS)), V2, None),
        (serving(spec_model=handled(V2, Outcome.ROLLED_BACK)), V2, Outcome.ROLLED_BACK),
    ],
    ids=[
        "stable is named",
        "stable is named, and was rejected once",
        "stable was retrained from it",
        "the candidate of before is still there",
        "a rollback took its candidate",
        "it was rejected",
    ],
)
def test_the_record_of_spec_model_follows_the_stable_version(status, desired, outcome):
    model = with_spec_model(status, desired, START + 60).spec_model
    assert (model and model.outcome) == outcome
