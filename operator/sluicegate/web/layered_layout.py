"""A layout of the graph of dependencies in layers, and the program that computes it.

The library holds the interpreter's lock while it works, and its time grows with calls times layers:
fifty products with a thousand calls take seconds. So the page starts this module as a program of
its own (`layout_process.py`).
"""

import json
import resource
import sys
from dataclasses import dataclass
from typing import Any, Final

from fast_sugiyama import from_edges

BOX_SIZE: Final = (170.0, 44.0)
"""Width and height of a product in the graph, in pixels."""
GAP_SIZE: Final = (60.0, 18.0)
MARGIN: Final = 8.0
CPU_SECONDS: Final = 3
"""Processor time after which the kernel ends the program."""
MEMORY_MIB: Final = 64
"""Address space of the program: two of them and the page need less than the limit of its pod."""

Corner = tuple[float, float]
Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Corners of the boxes, and of the gaps that a call over several layers passes through."""

    corners: dict[int, Corner]
    passed: dict[tuple[int, int], tuple[Corner, ...]]

    def to_json(self) -> str:
        """Return the layout as text."""
        passed_gaps = [[*call, gaps] for call, gaps in self.passed.items()]
        return json.dumps([sorted(self.corners.items()), sorted(passed_gaps)])

    @classmethod
    def parse(cls, text: bytes) -> "Layout":
        """Return the layout in a text of `to_json`."""
        corners, passed_gaps = json.loads(text)
        return cls(
            {node: (x, y) for node, (x, y) in corners},
            {
                (caller, callee): tuple((x, y) for x, y in gaps)
                for caller, callee, gaps in passed_gaps
            },
        )


def layout_of(edges: Edges, products: int) -> Layout:
    """Compute the layout of products 0 … `products` - 1; equal graphs have equal layouts.

    Parts that aren't connected are below each other.
    """
    layout = Layout({}, {})
    layer_top = MARGIN
    linked_nodes = sorted({node for edge in edges for node in edge})
    number = {node: position for position, node in enumerate(linked_nodes)}
    # The library's layers go down; here they go to the right, as names need width. It puts
    # nodes into a set, so they are numbers: a text's hash depends on the process. Numbers
    # from the number of nodes on are the library's, for the gaps.
    layouts = (
        from_edges(
            [(number[caller], number[callee]) for caller, callee in edges],
            vertex_spacing=BOX_SIZE[1] + GAP_SIZE[1], dummy_vertices=True, dummy_size=GAP_SIZE[1],
        )
        if edges
        else ()
    )  # fmt: skip
    for points, _, _, drawn_calls in layouts:
        calls = tuple((int(caller), int(callee)) for caller, callee in drawn_calls or ())
        column = {y: position for position, y in enumerate(sorted({-y for _, (_, y) in points}))}
        minimum_x = min(x for _, (x, _) in points)
        corners = {
            int(node): (
                MARGIN + column[-y] * (BOX_SIZE[0] + GAP_SIZE[0]),
                layer_top + x - minimum_x,
            )
            for node, (x, y) in points
        }
        layout.corners.update(
            {
                linked_nodes[node]: corner
                for node, corner in corners.items()
                if node < len(linked_nodes)
            }
        )
        next_gap = {caller: callee for caller, callee in calls if caller >= len(linked_nodes)}
        for upper_node, lower_node in calls:
            gap, gaps = lower_node, []
            while gap >= len(linked_nodes):
                gaps.append(corners[gap])
                gap = next_gap[gap]
            if gaps and upper_node < len(linked_nodes):
                layout.passed[linked_nodes[upper_node], linked_nodes[gap]] = tuple(gaps)
        layer_top = max(y for _, y in corners.values()) + BOX_SIZE[1] + GAP_SIZE[1]
    for node in range(products):
        if node not in layout.corners:
            layout.corners[node] = (MARGIN, layer_top)
            layer_top += BOX_SIZE[1] + GAP_SIZE[1]
    return layout


def main() -> None:
    """Read calls and the number of products as JSON, and print their layout."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    graph: dict[str, Any] = json.load(sys.stdin)
    edges = tuple((caller, callee) for caller, callee in graph["edges"])
    sys.stdout.write(layout_of(edges, graph["products"]).to_json())


if __name__ == "__main__":
    main()
