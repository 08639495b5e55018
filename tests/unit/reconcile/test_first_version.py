"""A first version costs its Deployment one write, however long its pods take."""

from __future__ import annotations

import pytest

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.outcome import Outcome
from sluicegate.api.versions import PastVersion, VersionBase
from sluicegate.kube.resources import DEPLOYMENTS
from sluicegate.reconcile.build import build_children
from sluicegate.reconcile.live.children import deployment_record
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.settings import ServiceKind
from tests.support.decisions.rollout_world import serving_world


def deployment_of(product, live):
    allocation = allocation_of(product, product.status, stable_pods=2)
    children = build_children(product, allocation, live, service_kind=ServiceKind.HEADLESS)
    revision = product.status.stable.revision
    (found,) = (
        child for child in children if child.resource == DEPLOYMENTS and is_of(child, revision)
    )
    return found


def is_of(child, revision):
    return child.manifest["metadata"]["labels"]["sluicegate.dev/revision"] == revision


def as_observed(child):
    body = {
        **child.manifest,
        "metadata": child.manifest["metadata"] | {"uid": "u", "resourceVersion": "7"},
    }
    record = deployment_record(body)
    return {record.label("sluicegate.dev/revision"): record}


@pytest.fixture
def served():
    """Return a product whose first version serves, its Deployment, and the same an hour later."""
    product = serving_world(0).product
    stable = product.status.stable
    after = stable.model_copy(update={"promotion_time": stable.promotion_time + 3600})
    status = product.status.model_copy(update={"stable": after})
    return product, deployment_of(product, {}), product.model_copy(update={"status": status})


def test_a_slow_start_does_not_rewrite_the_recorded_state_of_the_first_deployment(served):
    _, made, slow = served
    assert deployment_of(slow, as_observed(made)).fingerprint == made.fingerprint


def with_evaluation(product, *, bad):
    stable = product.status.stable
    moment = stable.promotion_time
    baseline = Baseline(
        bad=bad, total=100, start=moment, end=moment, source=BaselineSource.EVALUATION
    )
    after = stable.model_copy(update={"baseline": {"accuracy": baseline}})
    status = product.status.model_copy(update={"stable": after})
    return product.model_copy(update={"status": status})


@pytest.mark.parametrize(("bad", "kept"), [(10, True), (12, False)], ids=["the same", "corrected"])
def test_the_deployment_records_an_evaluation_corrected_during_the_start(served, bad, kept):
    product, _, slow = served
    made = deployment_of(with_evaluation(product, bad=10), {})
    after = deployment_of(with_evaluation(slow, bad=bad), as_observed(made))
    assert (after.fingerprint == made.fingerprint) == kept


def test_the_recorded_state_isnt_written_again_after_a_rolled_back_canary(served):
    _, made, slow = served
    stable = slow.status.stable
    identity = {name: getattr(stable, name) for name in VersionBase.model_fields}
    refused = PastVersion(**identity, outcome=Outcome.ROLLED_BACK, end_time=stable.promotion_time)
    status = slow.status.model_copy(update={"history": (refused,)})
    after = slow.model_copy(update={"status": status})
    assert deployment_of(after, as_observed(made)).fingerprint == made.fingerprint


def test_the_first_canary_does_not_rewrite_the_recorded_state_of_the_first_deployment(served):
    _, made, slow = served
    canary = serving_world(0).push("b", "v2")
    candidate = canary.until(lambda one: one.current.candidate is not None).current.candidate
    status = slow.status.model_copy(update={"candidate": candidate})
    beside = slow.model_copy(update={"status": status})
    other = next(iter(as_observed(made).values()))
    live = {**as_observed(made), candidate.revision: other}
    assert deployment_of(beside, live).fingerprint == made.fingerprint


def test_the_recorded_state_is_written_when_a_version_is_restored_with_a_history(served):
    _, made, slow = served
    grown = serving_world(0).push("b", "v2")
    history = grown.until(lambda one: one.serving == "v2").product.status.history
    assert history
    status = slow.status.model_copy(update={"history": history})
    returned = slow.model_copy(update={"status": status})
    assert deployment_of(returned, as_observed(made)).fingerprint != made.fingerprint
