"""Graphs of any size: the page answers others meanwhile, and says why there is no picture."""

from __future__ import annotations

import asyncio
import re

import pytest

from sluicegate.portfolio.affected import MAX_CAUSES, graph_of
from sluicegate.views.product_facts import facts_of
from sluicegate.web.layered_layout import CPU_SECONDS
from tests.support.executed_lines import growth, lines_of
from tests.support.portfolio.products import degraded, document, product
from tests.support.portfolio.served import served, store_of

CRD_LIMIT = 32
"""Dependencies of one product."""


def calls(number: int, products: int) -> dict:
    """The spec of a product that calls up to 32 of those after it."""
    after = range(number + 1, min(number + 1 + CRD_LIMIT, products))
    return {"dependsOn": [{"name": f"p{other}"} for other in after]}


def page_of(products: int):
    return served(
        store_of(document(f"p{number}", "mallory", spec=calls(number, products)) for number in range(products))
    )  # fmt: skip


async def test_the_page_of_a_graph_with_too_many_edges_has_a_table_and_the_reason():
    async with page_of(100) as client:
        answer = await client.get("/graph?of=mallory/p7")
        text = await answer.text()
    assert answer.status == 200
    assert "at most 600 products and 1,500 calls, and this graph has 100 and 2,672:" in text
    assert "<svg class" not in text
    assert "All calls" in text


@pytest.mark.slow
async def test_the_page_answers_its_probes_while_a_layout_takes_too_long():
    """A chain within the bounds of a picture, half of whose calls pass over half of its layers."""
    chain, across = 600, 300
    store = store_of(
        document(
            f"p{number}", "mallory",
            spec={"dependsOn": [{"name": f"p{number + step}"} for step in (1, across) if number + step < chain]},
        )
        for number in range(chain)
    )  # fmt: skip
    async with served(store) as client:
        graph = asyncio.ensure_future(client.get("/graph"))
        probes = 0
        while not graph.done():
            answer = await asyncio.wait_for(client.get("/healthz"), CPU_SECONDS / 2)
            assert answer.status == 200
            probes += 1
            await asyncio.wait({graph}, timeout=0.1)
        text = await (await graph).text()
    assert probes > 10
    assert "<svg class" not in text
    # On a busy machine the reader's time ends before the processor time of the layout.
    assert re.search(
        f"takes more than {CPU_SECONDS} s of processor time|No picture within 10 s", text
    )


async def test_readers_of_the_same_graph_share_one_layout():
    async with page_of(6) as client:
        texts = [
            await answer.text()
            for answer in await asyncio.gather(*(client.get("/graph") for _ in range(5)))
        ]
    assert all("<svg class" in text for text in texts)


def cost_of_a_graph(products: int) -> int:
    """Lines for the blast radius of products that are all degraded, and call each other."""
    each = [
        facts_of(product(f"p{number}", spec=calls(number, products), status=degraded()))
        for number in range(products)
    ]
    return lines_of(lambda: graph_of(each).affected())


def test_the_blast_radius_of_many_degraded_products_costs_near_linear_operations():
    assert growth(cost_of_a_graph, 100) < 2.4


def test_a_product_names_a_bounded_number_of_causes():
    each = [
        facts_of(product(f"p{number:02}", spec={"dependsOn": [{"name": f"p{number + 1:02}"}]}, status=degraded()))
        for number in range(40)
    ]  # fmt: skip
    graph = graph_of(each)
    [first] = [node for name, node in graph.nodes.items() if name.endswith("p00")]
    assert len(first.causes) == MAX_CAUSES
    assert all(node.causes for name, node in graph.nodes.items() if name[-2:] < "39")
