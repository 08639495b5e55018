"""The portfolio of 47 products on virtual time: a market shifts, and status says where, and whom it reaches."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from demo.portfolio import affected_by, documents, members
from sluicegate.api.slo_status import SloState
from sluicegate.kube.resources import Key
from sluicegate.portfolio.affected import graph_of
from sluicegate.portfolio.matrix import matrix_of
from sluicegate.views.product_facts import read_facts
from tests.support.virtual.stories import HOUR, RARELY, on_virtual_time

if TYPE_CHECKING:
    from benchmarks.virtual.operator import World
    from sluicegate.views.product_facts import ProductFacts

GOOD, SHIFTED = 0.07, 0.5
PRICE, SIMILAR = Key("market-pricing", "price"), Key("market-catalog", "similar-cars")


def quality(name: str, *shifted: str) -> Quality:
    """Return how the model of a product does, wrong more often in the markets that have shifted."""
    (member,) = (member for member in members() if member.name == name)
    return Quality.of_markets(
        **{market: SHIFTED if market in shifted else GOOD for market in member.markets}
    )


def states(world: World) -> Counter[str]:
    """Return how many products are in which state."""
    stored = (world.status(Key(member.namespace, member.name)) for member in members())
    return Counter(status.get("state", "") for status in stored)


def facts(world: World) -> list[ProductFacts]:
    return [read_facts(world.product(Key(member.namespace, member.name))) for member in members()]


def markets_of(world: World, key: Key) -> dict[str, str]:
    slos = {slo["name"]: slo for slo in world.status(key).get("slos", ())}
    return {
        market["market"]: market["state"] for market in slos.get("accuracy", {}).get("markets", ())
    }


def column(world: World, market: str) -> dict[str, str]:
    """Return products whose state in a market is known and not met, as the matrix shows them."""
    matrix = matrix_of(facts(world))
    place = matrix.markets.index(market)
    cells = {row.product.key[1]: row.cells[place] for row in matrix.rows}
    quiet = {None, SloState.MET, SloState.UNKNOWN}
    return {name: str(cell) for name, cell in cells.items() if cell not in quiet}


@pytest.mark.slow
@on_virtual_time
async def test_a_drop_of_one_market_shows_in_the_matrix_and_in_dependents_of_the_product(
    world,
):
    images = {}
    for document, member in zip(documents(), members(), strict=True):
        key = world.apply(document)
        images[member.name] = document["spec"]["model"]["bento"]["image"]
        world.cluster.set_quality(images[member.name], quality(member.name))
        world.cluster.set_rate(key, member.rate)
        world.cluster.trainings[key] = Training(seconds=3000, report=None)
    world.start(**RARELY)
    await world.until(
        lambda: states(world)["Healthy"] == 47,
        seconds=6 * HOUR, what="all products healthy",
    )  # fmt: skip
    assert Counter(fact.state for fact in facts(world)) == {"Healthy": 47}

    world.cluster.set_quality(images["price"], quality("price", "AT"))
    await world.until(
        lambda: world.status(PRICE)["state"] == "Degraded", seconds=4 * HOUR,
        what="price degraded",
    )  # fmt: skip
    assert markets_of(world, PRICE)["AT"] == "Missed"
    checks = world.status(PRICE)["diagnosis"]["evidence"]
    alone = next(check for check in checks if check["check"] == "MarketAlone")
    assert "AT" in alone["message"]
    assert alone["verdict"] == "Objects"
    assert world.status(PRICE)["diagnosis"]["message"].endswith(f"; {alone['message']}")
    assert "ccuracy is missed in AT since" in world.condition(PRICE, "MarketsMet")["message"]
    assert column(world, "AT") == {"price": "Missed"}
    assert "Missed" not in column(world, "FR").values()

    world.cluster.set_quality(images["similar-cars"], quality("similar-cars", "AT"))
    await world.until(
        lambda: world.status(SIMILAR)["state"] == "Degraded", seconds=4 * HOUR,
        what="similar-cars degraded",
    )  # fmt: skip
    assert world.status(SIMILAR)["diagnosis"]["cause"] == "UpstreamDegraded"
    told = graph_of(facts(world))
    hit = {name for name, node in told.nodes.items() if "market-pricing/price" in node.causes}
    assert {name.partition("/")[2] for name in hit} == affected_by("price")
    healthy = Counter(fact.state for fact in facts(world))
    assert healthy == {"Healthy": 45, "Degraded": 2}
    assert column(world, "AT") == {"price": "Missed", "similar-cars": "Missed"}
