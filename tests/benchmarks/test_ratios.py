"""Ratios of times within one run, and what grows with the number of products.

No absolute time is asserted: how fast the machine is, is no property of the operator.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.baseline_client import Floor
from benchmarks.figures import exponent
from benchmarks.measure import WAVE_SHARE, Plan
from tests.benchmarks.measuring import COLD, Found, measured, steady

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]
SIZES = (20, 60)
FLOOR = Plan(scenarios=("cold", "starts"), limit_seconds=90.0)


@pytest.fixture(scope="module")
def results() -> dict[int, Found]:
    """Return the measurements of both sizes."""
    return {size: steady(size) for size in SIZES}


@pytest.fixture(scope="module")
def in_turn() -> tuple[Found, Found, Found]:
    """Return a bare client that sends the same five writes, ours, and the bare client once more.

    So whatever else the machine is doing meets one of the floors as much as it meets ours.
    """
    return (
        measured(SIZES[1], FLOOR, Floor()),
        measured(SIZES[1], COLD),
        measured(SIZES[1], FLOOR, Floor()),
    )


@pytest.fixture(scope="module")
def cold(in_turn) -> dict[str, Any]:
    """Return our cold start."""
    figures: dict[str, Any] = in_turn[1]["cold"]
    return figures


@pytest.fixture(scope="module")
def bare(in_turn) -> list[Found]:
    """Return the duration of the same requests with a bare client."""
    return [in_turn[0], in_turn[2]]


@pytest.fixture(scope="module")
def floors(bare) -> list[dict[str, Any]]:
    """Return its cold starts."""
    return [found["cold"] for found in bare]


def test_a_cold_start_takes_little_longer_than_its_bare_writes(cold, floors):
    """1,000 products have to stay within 1.25; at sixty a second more is already a quarter."""
    assert cold["readySeconds"] <= 2 * max(floor["readySeconds"] for floor in floors)


def test_the_floor_starts_the_products_of_a_wave_beside_the_others(bare):
    assert {found["starts"]["products"] for found in bare} == {SIZES[1] / WAVE_SHARE}
    # Noise only adds, so the quicker of each.
    started, all_of_them = (
        min(found[scenario]["readySeconds"] for found in bare) for scenario in ("starts", "cold")
    )
    assert started < all_of_them


def test_the_cpu_time_of_a_cold_start_is_at_most_ten_times_that_of_its_requests(cold, floors):
    """Five times at 60 products and at 1,000; twice as much were a regression."""
    assert cold["cpuSeconds"] <= 10 * max(floor["cpuSeconds"] for floor in floors)


def test_queries_per_block_dont_depend_on_the_number_of_products(results):
    queries = {size: found["steady"]["queriesPerBlock"] for size, found in results.items()}
    assert set(queries.values()) == {8}, queries


def test_cpu_per_block_grows_no_faster_than_the_products(results):
    points = [(size, found["steady"]["cpuSecondsPerBlock"]) for size, found in results.items()]
    grown = exponent(points)
    assert grown is not None
    assert grown <= 1.3, points


def test_memory_per_product_stays_small(results):
    small, large = (results[size]["steady"]["memoryMiB"] for size in SIZES)
    assert (large - small) / (SIZES[1] - SIZES[0]) <= 0.2, (small, large)
