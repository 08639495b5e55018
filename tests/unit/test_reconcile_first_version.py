"""A first version costs its Deployment one write, however long its pods take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sluicegate.kube.resources import DEPLOYMENTS
from sluicegate.reconcile.children import build_children
from sluicegate.reconcile.layout import layout_of
from sluicegate.reconcile.records import deployment_record
from sluicegate.settings import ServiceKind
from tests.support.rollout_world import World


def deployment_of(product, live):
    layout = layout_of(product, product.status, stable_pods=2)
    children = build_children(product, layout, live, service_kind=ServiceKind.HEADLESS)
    (found,) = (one for one in children if one.resource == DEPLOYMENTS)
    return found


def as_observed(child):
    body = {
        **child.manifest,
        "metadata": child.manifest["metadata"] | {"uid": "u", "resourceVersion": "7"},
    }
    record = deployment_record(body)
    assert record is not None
    return {record.label("sluicegate.dev/revision"): record}


@pytest.fixture
def served():
    """A product whose first version serves, its Deployment, and the same an hour later."""
    product = World().until(lambda one: one.serving == "v1").product
    stable = product.status.stable
    assert stable is not None
    after = stable.model_copy(update={"promoted_at": stable.promoted_at + timedelta(hours=1)})
    status = product.status.model_copy(update={"stable": after})
    return product, deployment_of(product, {}), product.model_copy(update={"status": status})


def test_what_a_first_versions_deployment_remembers_isnt_written_again(served):
    _, made, slow = served
    assert deployment_of(slow, as_observed(made)).fingerprint == made.fingerprint


def test_it_is_written_when_there_is_another_version_to_tell_it_from(served):
    _, made, slow = served
    other = {**as_observed(made), "0123456789": next(iter(as_observed(made).values()))}
    assert deployment_of(slow, other).fingerprint != made.fingerprint


def test_it_is_written_when_the_version_came_back_to_a_product_with_a_history(served):
    _, made, slow = served
    grown = World().until(lambda one: one.serving == "v1").push("b", "v2")
    history = grown.until(lambda one: one.serving == "v2").product.status.history
    assert history
    status = slow.status.model_copy(update={"history": history})
    returned = slow.model_copy(update={"status": status})
    assert deployment_of(returned, as_observed(made)).fingerprint != made.fingerprint
