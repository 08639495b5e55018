"""What status says of a spec that is refused."""

from __future__ import annotations

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, Key
from sluicegate.runtime.interfaces import InvalidSpec
from tests.support.apiserver.observed_cluster import Cluster
from tests.support.decisions.rollout_world import document, serving_world

SEARCH = Key("catalog", "search")
LARGE = {"spec": {"containers": [{"name": "a", "args": ["x" * 8000] * 5}]}}
ONLY_HERE = {
    "no runtime image": ({"serving": {"replicas": 1}}, "spec.serving.runtimeImage: is required"),
    "a training of 40 KB": (
        {"retraining": {"podTemplate": LARGE, "output": "registry.example/a"}},
        "spec.retraining.podTemplate: has",
    ),
    "a block of two scrapes": (
        {"analysis": {"blockSeconds": 30}},
        "spec.analysis.blockSeconds: is",
    ),
}
"""Changes of a spec that its schema allows and an operator with these settings can't serve."""
WRONG = {"objective": "high", "maxDrop": "little", "onDegraded": "Cry", "seasonality": "Yearly"}


async def test_status_lists_as_many_spec_problems_as_its_limit_allows(server):
    """The API server refuses the whole status otherwise, and nothing would say what is wrong."""
    world = serving_world(0, route=None)
    cluster = Cluster(server)
    cluster.add(world, SEARCH, created="2026-01-01T00:00:00Z", route=None, routed=False)
    body = cluster.live(DATA_PRODUCTS, SEARCH)
    slo = {"indicator": {"outcomes": {}}, **WRONG}
    body["spec"] |= {
        "slos": [{"name": f"slo-{n}", **slo} for n in range(16)],
        "priority": "Mine",
    }
    cluster.observe(DATA_PRODUCTS, body)
    with pytest.raises(InvalidSpec):
        await cluster.reconcile(SEARCH)
    assert len(cluster.live(DATA_PRODUCTS, SEARCH)["status"]["problems"]) == 64


@pytest.mark.parametrize(("change", "says"), ONLY_HERE.values(), ids=ONLY_HERE)
async def test_a_spec_error_that_admission_accepts_is_reported_and_creates_no_deployment(
    server, change, says
):
    cluster = Cluster(server)
    cluster.observe(DATA_PRODUCTS, document(route=None, **change))
    with pytest.raises(InvalidSpec):
        await cluster.reconcile(SEARCH)
    status = cluster.live(DATA_PRODUCTS, SEARCH)["status"]
    (stalled,) = (condition for condition in status["conditions"] if condition["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert says in stalled["message"]
    assert any(problem.startswith(says) for problem in status["problems"])
    assert not any(DEPLOYMENTS.plural in write.path for write in server.writes)
