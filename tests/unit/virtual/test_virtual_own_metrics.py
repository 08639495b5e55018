"""Products' own counters and gauges are counted from the answers of the virtual world; Gateways go."""

from __future__ import annotations

from sluicegate.kube.resources import HTTP_ROUTES
from tests.support.lives.products import CLICKS, COUNTERS, GAUGES, PROMQL
from tests.support.virtual.stories import RARELY, on_virtual_time, product, pushed, served

KINDS = {
    "clicks": {"indicator": {"events": {}}},
    "visits": {"indicator": {"events": {"indicator": "clicks", "lagSeconds": 60}}},
    "sales": {"indicator": {"counters": {**COUNTERS, "lagSeconds": 300}}},
    "answers": {"indicator": {"promql": PROMQL}},
}


def _slos():
    counted = [CLICKS | one | {"name": name, "objective": "0.8"} for name, one in KINDS.items()]
    return [
        *counted,
        {"name": "score", "indicator": {"gauge": GAUGES[1] | {"staleAfterSeconds": 60}}},
    ]


@on_virtual_time
async def test_slos_of_each_kind_of_custom_metric_are_met_by_a_good_version(world):
    key = await served(world, product("cars", model=pushed("a", "v1"), slos=_slos()), **RARELY)
    await world.run(3600)
    found = {slo["name"]: slo["state"] for slo in world.status(key)["slos"]}
    assert found == dict.fromkeys((*KINDS, "score"), "Met")


@on_virtual_time
async def test_a_deleted_gateway_leaves_its_last_status_on_a_route(world):
    world.cluster.add_gateway("internal")
    parents = [{"name": name, "namespace": "gateway"} for name in ("web", "internal")]
    key = await served(world, product("cars", route={"parentRefs": parents}), **RARELY)
    await world.run(60)

    def accepting():
        route = world.server.get(HTTP_ROUTES, key)
        return {
            parent["parentRef"]["name"]: parent["conditions"][0]["status"]
            for parent in route["status"]["parents"]
        }

    assert accepting() == {"web": "True", "internal": "True"}
    world.cluster.refuse_routes_of("internal")
    assert accepting() == {"web": "True", "internal": "False"}
    world.cluster.remove_gateway("internal")
    world.cluster.refuse_routes_of()
    assert accepting() == {"web": "True", "internal": "False"}, "its last word is left"
    world.cluster.add_gateway("internal")
    assert accepting() == {"web": "True", "internal": "True"}
