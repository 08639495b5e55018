"""Bars and boxes: where they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from sluicegate.portfolio.affected import graph_of
from sluicegate.views.product_facts import facts_of
from sluicegate.web.drawing import Picture, bullet_of, edges_of, picture_of
from sluicegate.web.layered_layout import BOX_SIZE, Layout, layout_of
from tests.support.portfolio.products import degraded, product


def drawn(products) -> Picture:
    graph = graph_of(products)
    layout = layout_of(edges_of(graph), len(graph.nodes))
    assert Layout.parse(layout.to_json().encode()) == layout
    return picture_of(graph, layout)


def test_an_evidence_bar_is_full_at_the_bound():
    bar = bullet_of(3.0, 3.0)
    assert bar.reached
    assert bar.start + bar.length == pytest.approx(bar.bound)
    against = bullet_of(-0.5, 3.0)
    assert against.start + against.length == pytest.approx(against.zero)
    assert not against.reached
    assert bullet_of(-99, 3.0).start >= 0
    assert bullet_of(99, 3.0).start + bullet_of(99, 3.0).length <= bar.width


def test_a_dependent_is_left_of_its_upstreams_and_no_boxes_overlap():
    def calls(*names):
        return {"dependsOn": [{"name": name} for name in names]}

    products = [
        facts_of(product("a", spec=calls("b", "c"))), facts_of(product("b", spec=calls("d"))),
        facts_of(product("c", spec=calls("d"))), facts_of(product("d", status=degraded())),
        facts_of(product("x", spec=calls("y"))), facts_of(product("y", spec=calls("x"))),
    ]  # fmt: skip
    picture = drawn(products)
    at = {box.node.name[-1]: box for box in picture.boxes}
    assert at["a"].x < at["b"].x == at["c"].x < at["d"].x
    places = [(box.x, box.y) for box in picture.boxes]
    for number, (x, y) in enumerate(places):
        assert not [
            1
            for a, b in places[number + 1 :]
            if abs(a - x) < BOX_SIZE[0] and abs(b - y) < BOX_SIZE[1]
        ]
        assert 0 <= x <= picture.width - BOX_SIZE[0]
        assert 0 <= y <= picture.height - BOX_SIZE[1]
    assert sum(arrow.affected for arrow in picture.arrows) == 4


@pytest.mark.slow
def test_the_drawing_of_a_graph_is_deterministic_across_processes():
    """Two replicas of the page, and the same after a restart: hashes of texts differ there."""
    code = (
        "from sluicegate.web.layered_layout import layout_of;"
        "edges = tuple((n, m) for n in range(12) for m in (n // 2 + 12, n // 3 + 18));"
        "print(layout_of(edges, 25).to_json())"
    )
    pictures = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(pictures) == 1


def test_an_edge_over_several_layers_passes_between_their_boxes():
    calls = {"a": "bcd", "b": "e", "c": "e", "d": "e", "e": "f", "f": "a"}
    calls["a"] += "ef"
    products = [
        facts_of(product(name, spec={"dependsOn": [{"name": one} for one in called]}))
        for name, called in calls.items()
    ]
    picture = drawn(products)
    (width, height), long = BOX_SIZE, 0
    for arrow in picture.arrows:
        steps = re.findall(r"([\d.]+) H([\d.]+)", arrow.path)
        long += bool(steps)
        for level, end in steps:
            for box in picture.boxes:
                beside = box.x in {float(end), float(end) - width}
                assert not (beside and box.y < float(level) < box.y + height), arrow.path
    assert long == 3, "to e, to f, and back to a"
