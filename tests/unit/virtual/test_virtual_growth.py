"""What a block costs the whole operator, by the number of what users multiply, in executed lines.

The clock of a machine that is busy says little; the lines of the operator's code that a block executes
are the same in each run.
"""

from __future__ import annotations

import asyncio
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.virtual.event_loop import run_virtually
from tests.support.decisions.rollout_world import RUNTIME
from tests.support.executed_lines import counted
from tests.support.virtual.stories import BLOCK, HOUR, RARELY, Body, opened, product, serving

if TYPE_CHECKING:
    from collections.abc import Callable

NEAR_LINEAR = 2.15
"""How many times the cost of a block may be when a number doubles: an exponent of 1.1."""


def products(number: int, **spec: Any) -> list[Body]:
    return [product(f"p{place}", **spec) for place in range(number)]


def in_namespaces(number: int) -> list[Body]:
    bodies = products(16)
    for place, body in enumerate(bodies):
        body["metadata"]["namespace"] = f"team-{place % number}"
    return bodies


def with_dependencies(number: int) -> list[Body]:
    """Return each of sixteen products calls the next ones, so all are in one cycle."""
    return [
        product(
            f"p{place}",
            dependsOn=[{"name": f"p{(place + step) % 16}"} for step in range(1, number + 1)],
        )
        for place in range(16)
    ]


def with_slos(number: int) -> list[Body]:
    accuracy = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.05"}
    slos = [
        {
            "name": f"clicks-{place}",
            "indicator": {"events": {"indicator": f"clicks-{place}"}},
            "maxDrop": "0.05",
        }
        for place in range(number)
    ]
    return products(2, slos=[accuracy, *slos])


def with_markets(number: int) -> list[Body]:
    serving_by_market = {
        "runtimeImage": RUNTIME,
        "feedback": {"secretRef": {"name": "feedback"}},
        "market": {"from": "Header", "name": "x-market"},
    }
    return products(
        2,
        serving=serving_by_market,
        markets=[f"A{ascii_uppercase[place]}" for place in range(number)],
    )


def with_hosts(number: int) -> list[Body]:
    parents = [{"name": "web", "namespace": "gateway"}]
    return [
        product(
            f"p{place}",
            route={
                "parentRefs": parents,
                "path": f"/p{place}",
                "hostnames": [f"h{host}.example" for host in range(number)],
            },
        )
        for place in range(8)
    ]


async def cost_of_a_block(bodies: list[Body]) -> int:
    """Return lines that the leader executes in a block, once all products serve and are measured."""
    async with opened() as world:
        keys = [world.apply(body) for body in bodies]
        world.start(**RARELY)
        await world.until(lambda: all(serving(world, key) == "v1" for key in keys), seconds=HOUR)
        await world.run(3 * BLOCK)
        with counted() as lines:
            await asyncio.sleep(BLOCK)
        return lines.number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "number"),
    [
        (products, 8),
        (in_namespaces, 4),
        (with_dependencies, 4),
        (with_slos, 4),
        (with_markets, 8),
        (with_hosts, 4),
    ],
)
def test_a_block_takes_near_linear_operations_in_each_quantity_that_users_can_increase(
    made: Callable[[int], list[Body]], number: int
):
    costs = [run_virtually(cost_of_a_block(made(size))) for size in (number, 2 * number)]
    assert costs[0] > 0
    print(costs)
    assert costs[1] < NEAR_LINEAR * costs[0]
