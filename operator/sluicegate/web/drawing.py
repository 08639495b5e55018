"""Coordinates of bars and boxes, which templates draw as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.portfolio.affected import Graph, Node
from sluicegate.web.layered_layout import BOX, MARGIN, Corner, Edges, Layout


@dataclass(frozen=True, slots=True)
class Box:
    """A product in the graph, by its top left corner."""

    node: Node
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Arrow:
    """A call, as the path of a curve; `affected` if a degradation spreads along it."""

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
    number = {name: place for place, name in enumerate(sorted(graph.nodes))}
    return tuple((number[one], number[other]) for one, other in graph.edges if one != other)


def picture_of(graph: Graph, layout: Layout) -> Picture:
    """Return the graph as a picture, with the layout of its `edges_of`."""
    names = sorted(graph.nodes)
    number = {name: place for place, name in enumerate(names)}
    boxes = {name: Box(graph.nodes[name], *layout.corners[number[name]]) for name in names}
    arrows = tuple(
        Arrow(
            _curve(
                boxes[caller], layout.passed.get((number[caller], number[other]), ()), boxes[other]
            ),
            _affected(graph, caller, other),
        )
        for caller, other in graph.edges
        if caller != other
    )
    width = max((box.x for box in boxes.values()), default=0.0) + BOX[0] + MARGIN
    height = max((box.y for box in boxes.values()), default=0.0) + BOX[1] + MARGIN
    return Picture(width, height, tuple(boxes.values()), arrows)


def _curve(caller: Box, gaps: Sequence[Corner], callee: Box) -> str:
    """Return the curve from a caller's right side to the left side of the called product.

    It passes through the gaps between the boxes of the layers in between, and goes backwards in a
    circle.
    """
    width, height = BOX
    left_edge, right = (0.0, width) if caller.x < callee.x else (width, 0.0)
    x, y = caller.x + right, caller.y + height / 2
    path = [f"M{x:.1f},{y:.1f}"]
    for corner in (*gaps, (callee.x, callee.y)):
        end, level = corner[0] + left_edge, corner[1] + height / 2
        middle = (x + end) / 2
        path.append(f"C{middle:.1f},{y:.1f} {middle:.1f},{level:.1f} {end:.1f},{level:.1f}")
        x, y = corner[0] + right, level
        path.append(f"H{x:.1f}")
    return " ".join(path[:-1])


def _affected(graph: Graph, caller: str, callee: str) -> bool:
    """Return whether a degradation of the called product, or one behind it, reaches the caller."""
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


def bullet_of(value: float, bound: float, *, width: float = 190.0) -> Bullet:
    """Return the bar of a value, from a little below zero to a little above the bound."""
    top = max(bound * 1.25, bound + 0.5)
    low = -0.35 * top
    scale = width / (top - low)

    def at(number: float) -> float:
        return round((min(max(number, low), top) - low) * scale, 1)

    zero, end = at(0.0), at(value)
    start, length = min(zero, end), abs(end - zero)
    return Bullet(width, zero, start, round(length, 1), at(bound), value >= bound)
