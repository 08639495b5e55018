"""Coordinates of lines, bars and boxes, which templates draw as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fast_sugiyama import from_edges

from sluicegate.portfolio.dependencies import Graph, Node

BOX: Final = (170.0, 44.0)
"""Width and height of a product in the graph, in pixels."""
GAPS: Final = (60.0, 18.0)
_MARGIN: Final = 8.0
MOST_NODES: Final = 600
"""Most products in a picture of the graph; a list has all."""


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


def picture_of(graph: Graph) -> Picture:
    """Lay out the graph in layers; equal graphs give equal pictures."""
    names = sorted(graph.nodes)
    number = {name: place for place, name in enumerate(names)}
    edges = [(number[one], number[other]) for one, other in graph.edges if one != other]
    layout = _laid_out(tuple(edges), len(names))
    boxes = {name: Box(graph.nodes[name], *layout.corners[number[name]]) for name in names}
    arrows = tuple(
        Arrow(
            _curve(boxes[one], layout.passed.get((number[one], number[other]), ()), boxes[other]),
            _affected(graph, one, other),
        )
        for one, other in graph.edges
        if one != other
    )
    width = max((box.x for box in boxes.values()), default=0.0) + BOX[0] + _MARGIN
    height = max((box.y for box in boxes.values()), default=0.0) + BOX[1] + _MARGIN
    return Picture(width, height, tuple(boxes.values()), arrows)


Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Corners of the boxes, and of the gaps that a call over several layers passes through."""

    corners: dict[int, Corner]
    passed: dict[tuple[int, int], tuple[Corner, ...]]


@lru_cache(maxsize=32)
def _laid_out(edges: tuple[tuple[int, int], ...], many: int) -> _Layout:
    """Compute the layout; parts that aren't connected are below each other.

    The result is cached, as states change often and calls rarely.
    """
    layout = _Layout({}, {})
    top = _MARGIN
    linked = sorted({node for edge in edges for node in edge})
    number = {node: place for place, node in enumerate(linked)}
    # The library's layers go down; here they go to the right, as names need width. It puts
    # nodes into a set, so they are numbers: a text's hash depends on the process. Numbers
    # from the number of nodes on are the library's, for the gaps.
    layouts = (
        from_edges(
            [(number[caller], number[called]) for caller, called in edges],
            vertex_spacing=BOX[1] + GAPS[1], dummy_vertices=True, dummy_size=GAPS[1],
        )
        if edges
        else ()
    )  # fmt: skip
    for points, _, _, drawn in layouts:
        calls = tuple((int(caller), int(called)) for caller, called in drawn or ())
        column = {y: place for place, y in enumerate(sorted({-y for _, (_, y) in points}))}
        least = min(x for _, (x, _) in points)
        corners = {
            int(node): (_MARGIN + column[-y] * (BOX[0] + GAPS[0]), top + x - least)
            for node, (x, y) in points
        }
        layout.corners.update(
            {linked[node]: at for node, at in corners.items() if node < len(linked)}
        )
        follows = {caller: called for caller, called in calls if caller >= len(linked)}
        for upper, lower in calls:
            gap, gaps = lower, []
            while gap >= len(linked):
                gaps.append(corners[gap])
                gap = follows[gap]
            if gaps and upper < len(linked):
                layout.passed[linked[upper], linked[gap]] = tuple(gaps)
        top = max(y for _, y in corners.values()) + BOX[1] + GAPS[1]
    for node in range(many):
        if node not in layout.corners:
            layout.corners[node] = (_MARGIN, top)
            top += BOX[1] + GAPS[1]
    return layout


def _curve(caller: Box, gaps: Sequence[Corner], called: Box) -> str:
    """Return the curve from a caller's right side to the left side of the called product.

    It passes through the gaps between the boxes of the layers in between, and goes backwards in a
    circle.
    """
    width, height = BOX
    left, right = (0.0, width) if caller.x < called.x else (width, 0.0)
    x, y = caller.x + right, caller.y + height / 2
    path = [f"M{x:.1f},{y:.1f}"]
    for corner in (*gaps, (called.x, called.y)):
        end, level = corner[0] + left, corner[1] + height / 2
        middle = (x + end) / 2
        path.append(f"C{middle:.1f},{y:.1f} {middle:.1f},{level:.1f} {end:.1f},{level:.1f}")
        x, y = corner[0] + right, level
        path.append(f"H{x:.1f}")
    return " ".join(path[:-1])


def _affected(graph: Graph, caller: str, callee: str) -> bool:
    """Return whether a degradation of the called product, or one behind it, reaches the caller."""
    called = graph.nodes[callee]
    return called.state == "Degraded" or bool(set(called.causes) & set(graph.nodes[caller].causes))


@dataclass(frozen=True, slots=True)
class Spark:
    """A line of daily shares of good events, in coordinates of a box of this size.

    Attributes
    ----------
    line : points of a polyline. objective : height of the objective; None without one.
    outside : points of the days on which the objective was missed.
    """

    width: float
    height: float
    line: str
    objective: float | None
    outside: tuple[tuple[float, float], ...]


def spark_of(
    days: Sequence[tuple[str, int, int]],
    objective: float | None,
    *,
    width: float = 150.0,
    height: float = 34.0,
) -> Spark | None:
    """Return days (date, bad, total) as a line with gaps for days without events; None without any events."""
    shares = [(place, 1 - bad / total) for place, (_, bad, total) in enumerate(days) if total]
    if not shares:
        return None
    least = min([share for _, share in shares] + ([objective] if objective is not None else []))
    low = max(0.0, 1 - (1 - least) * 1.15) if least < 1 else 0.999
    inside = height - 6

    def at(place: int, share: float) -> tuple[float, float]:
        x = 3 + (width - 6) * (place / (len(days) - 1) if len(days) > 1 else 0.5)
        return round(x, 1), round(3 + inside * (1 - (share - low) / (1 - low)), 1)

    points = [at(place, share) for place, share in shares]
    return Spark(
        width, height,
        line=" ".join(f"{x},{y}" for x, y in points),
        objective=None if objective is None else at(0, objective)[1],
        outside=tuple(
            point
            for point, (_, share) in zip(points, shares, strict=True)
            if objective is not None and share < objective
        ),
    )  # fmt: skip


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
