"""Coordinates of bars and boxes, which templates draw as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.portfolio.affected import Graph, Node
from sluicegate.web.layered_layout import BOX_SIZE, MARGIN, Corner, Edges, Layout


@dataclass(frozen=True, slots=True)
class Box:
    """A product in the graph, by its top left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """A call in the graph, as a curve; `affected` if a degradation spreads along it."""

    path: str
    affected: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph with callers on the left and called products on the right, in pixels."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def edges_of(graph: Graph) -> Edges:
    """Return the calls of a graph, with products as numbers in the order of their names."""
    number = {name: position for position, name in enumerate(sorted(graph.nodes))}
    return tuple(
        (number[caller], number[callee]) for caller, callee in graph.edges if caller != callee
    )


def picture_of(graph: Graph, layout: Layout) -> Picture:
    """Return the graph as a picture, with the layout of its `edges_of`."""
    names = sorted(graph.nodes)
    number = {name: position for position, name in enumerate(names)}
    boxes = {name: Box(graph.nodes[name], *layout.corners[number[name]]) for name in names}
    arrows = tuple(
        Arrow(
            _curve_path(
                boxes[caller],
                layout.passed.get((number[caller], number[callee]), ()),
                boxes[callee],
            ),
            _is_affected(graph, caller, callee),
        )
        for caller, callee in graph.edges
        if caller != callee
    )
    width = max((box.x for box in boxes.values()), default=0.0) + BOX_SIZE[0] + MARGIN
    height = max((box.y for box in boxes.values()), default=0.0) + BOX_SIZE[1] + MARGIN
    return Picture(width, height, tuple(boxes.values()), arrows)


def _curve_path(caller: Box, gaps: Sequence[Corner], callee: Box) -> str:
    """Return the curve from a caller's right side to the left side of the called product.

    It passes through the gaps between the boxes of the layers in between, and goes backwards in a
    circle.
    """
    width, height = BOX_SIZE
    callee_side, caller_side = (0.0, width) if caller.x < callee.x else (width, 0.0)
    x, y = caller.x + caller_side, caller.y + height / 2
    path = [f"M{x:.1f},{y:.1f}"]
    for corner in (*gaps, (callee.x, callee.y)):
        end_x, end_y = corner[0] + callee_side, corner[1] + height / 2
        middle_x = (x + end_x) / 2
        path.append(f"C{middle_x:.1f},{y:.1f} {middle_x:.1f},{end_y:.1f} {end_x:.1f},{end_y:.1f}")
        x, y = corner[0] + caller_side, end_y
        path.append(f"H{x:.1f}")
    return " ".join(path[:-1])


def _is_affected(graph: Graph, caller: str, callee: str) -> bool:
    """Return whether a degradation of the called product, or of a product behind it, reaches the caller."""
    callee_node = graph.nodes[callee]
    return callee_node.state == "Degraded" or any(cause != caller for cause in callee_node.causes)


@dataclass(frozen=True, slots=True)
class Bullet:
    """Evidence and its bound as a bar, in pixels; `zero` is the position of no evidence."""

    width: float
    zero: float
    start: float
    length: float
    bound: float
    reached: bool


def bullet_of(value: float, threshold: float, *, width: float = 190.0) -> Bullet:
    """Return the bar of a value, from a little below zero to a little above the bound."""
    upper_limit = max(threshold * 1.25, threshold + 0.5)
    lower_limit = -0.35 * upper_limit
    scale = width / (upper_limit - lower_limit)

    def position_of(number: float) -> float:
        return round((min(max(number, lower_limit), upper_limit) - lower_limit) * scale, 1)

    zero_position, value_position = position_of(0.0), position_of(value)
    start, length = min(zero_position, value_position), abs(value_position - zero_position)
    return Bullet(
        width, zero_position, start, round(length, 1), position_of(threshold), value >= threshold
    )
