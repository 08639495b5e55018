"""What status says of a spec that is refused."""

from __future__ import annotations

import pytest

from sluicegate.kube.resources import DATA_PRODUCTS, Key
from sluicegate.runtime.interfaces import InvalidSpec
from tests.support.apiserver.observed_cluster import Cluster
from tests.support.decisions.rollout_world import serving_world

SEARCH = Key("catalog", "search")
WRONG = {"objective": "high", "maxDrop": "little", "onDegraded": "Cry", "seasonality": "Yearly"}


async def test_of_any_number_of_mistakes_status_lists_those_that_it_has_room_for(server):
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
        await cluster.look(SEARCH)
    assert len(cluster.live(DATA_PRODUCTS, SEARCH)["status"]["problems"]) == 64
