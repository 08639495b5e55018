"""What a first version costs, counted exactly at one size."""

from __future__ import annotations

import pytest

from tests.benchmarks.measuring import COLD, SIZE, measured

WRITES = {"services": 2, "deployments": 1, "httproutes": 1, "dataproducts/status": 1}
"""Of each product; on a busy machine the Lease is renewed meanwhile, and events are sent."""


@pytest.mark.timeout(400)
def test_the_first_version_of_a_product_takes_five_writes():
    sent = measured(SIZE, COLD)["cold"]["requests"]
    assert {kind: sent[f"patch {kind}"] for kind in WRITES} == {
        kind: each * SIZE for kind, each in WRITES.items()
    }
