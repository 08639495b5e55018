"""The bare client writes what the operator would write."""

from __future__ import annotations

import json

from benchmarks.baseline_client import SERVED, STAND_INS, render_template
from benchmarks.contender import Product
from benchmarks.sluicegate_contender import data_product
from tests.support.decisions.rollout_world import BLOCK, NAME, World


def test_the_floor_writes_the_status_of_a_serving_product(golden):
    product = data_product(Product(*STAND_INS[:2], number=0), "v1", block_seconds=BLOCK)
    meta = product["metadata"] | {
        "name": NAME,
        "uid": "-",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    world = World(spec={**product, "metadata": meta})
    status = world.until(lambda one: one.condition("Ready") == ("True", "Serving")).status
    golden(SERVED, json.dumps(dict(status), indent=2, sort_keys=True) + "\n")


def test_the_floor_writes_four_objects_and_the_status():
    paths = [one.partition(" ")[0] for one in render_template()]
    assert len(paths) == 5
    assert paths[-1].endswith("/status")
    assert all(STAND_INS[0] in path for path in paths)
