"""Writes docs/benchmarks.md from the JSON of the runs: ratios first, and what they can't tell.

`python -m benchmarks.report` does it without measuring anything.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.figures import exponent
from benchmarks.notes import NOTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
RESULTS: Final = ROOT / "docs" / "benchmarks.json"
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """A figure in a table.

    Attributes
    ----------
    title
        What it is, with its unit.
    scenario, figure
        Where it lies in the JSON.
    bar
        What it must be, in words; empty where nothing is promised.
    fitted
        Whether its growth with N is worth an exponent.
    """

    title: str
    scenario: str
    figure: str
    bar: str = ""
    fitted: bool = True


ROWS: Final = (
    Row("cold start: all Ready, s", "cold", "readySeconds"),
    Row("… writes per product", "cold", "writesPerObject", "≤ 5", fitted=False),
    Row("… events per product", "cold", "eventsPerObject", fitted=False),
    Row("… reads per product", "cold", "readsPerObject", fitted=False),
    Row("… CPU, ms per product", "cold", "cpuMillisecondsPerObject", fitted=False),
    Row("… peak memory, MiB", "cold", "peakMemoryMiB"),
    Row("… loop lag p50, s", "cold", "loopLagP50Seconds", fitted=False),
    Row("… loop lag p99, s", "cold", "loopLagP99Seconds", "≤ 0.25", fitted=False),
    Row("… reconcile p50, s", "cold", "reconcileP50Seconds", fitted=False),
    Row("… reconcile p99, s", "cold", "reconcileP99Seconds", fitted=False),
    Row("… queue wait p99, s", "cold", "queueWaitP99Seconds"),
    Row("steady: CPU between blocks, share of a core", "steady", "cpuShareBetweenBlocks", "≤ 0.01"),
    Row("… CPU over all, share of a core", "steady", "cpuShare"),
    Row("… CPU per block, s", "steady", "cpuSecondsPerBlock"),
    Row("… Prometheus queries per block", "steady", "queriesPerBlock", "independent of N"),
    Row("… writes", "steady", "writes", "0", fitted=False),
    Row("… reads per second", "steady", "readsPerSecond", "≤ 0.2"),
    Row("… memory, MiB", "steady", "memoryMiB", "≤ 125 at 1,000, ≤ 256 at 5,000"),
    Row("… loop lag p99, s", "steady", "loopLagP99Seconds", "≤ 0.25", fitted=False),
    Row("restart: until it leads, s", "restart", "leadsSeconds"),
    Row("… from the lease to all reconciled, s", "restart", "leaseToReconciledSeconds", "≤ 5 at 1,000"),
    Row("… until it is quiet, s", "restart", "quietSeconds"),
    Row("… writes", "restart", "writes", "0", fitted=False),
    Row("… reads", "restart", "reads"),
    Row("… graceful stop, s", "restart", "stopSeconds", "< 5", fitted=False),
    Row("promotions: wave, ratio to the ideal", "promotions", "ratioToIdeal", "≤ 1.3"),
    Row("… writes per promotion, events included", "promotions", "writesAndEventsPerObject", "≤ 18", fitted=False),
    Row("… products in the wave", "promotions", "products", fitted=False),
    Row("degradations: breach to first Job, blocks", "degradations", "breachToFirstJobBlocks", fitted=False),
    Row("… confirming block to first Job, blocks", "degradations", "confirmedToFirstJobBlocks", "≤ 2", fitted=False),
    Row("… Jobs at once", "degradations", "mostAtOnce", "≤ 2", fitted=False),
    Row("… Jobs at once in a namespace", "degradations", "mostInNamespace", "≤ 1", fitted=False),
    Row("… starts out of the order of priority", "degradations", "priorityInversions", "0", fitted=False),
)  # fmt: skip

RATIOS: Final = (
    ("all Ready", "cold", "readySeconds"),
    ("writes per product", "cold", "writesPerObject"),
    ("CPU per product", "cold", "cpuMillisecondsPerObject"),
    ("peak memory", "cold", "peakMemoryMiB"),
    ("idle CPU", "steady", "cpuShare"),
    ("idle reads per second", "steady", "readsPerSecond"),
    ("restart until quiet", "restart", "quietSeconds"),
    ("restart, writes", "restart", "writes"),
    ("promotions, ratio to ideal", "promotions", "ratioToIdeal"),
    ("writes per promotion", "promotions", "writesAndEventsPerObject"),
)
"""What is set beside the other contenders."""


def main() -> int:
    """Write the page."""
    document = json.loads(RESULTS.read_text())
    PAGE.write_text("\n".join(render(document)) + "\n")
    return 0


def render(document: Mapping[str, Any]) -> Iterator[str]:
    """The page, line by line."""
    results: Mapping[str, Any] = document["results"]
    yield NOTES["title"]
    yield _machine(document["machine"])
    yield NOTES["method"]
    yield "## Side by side\n"
    yield from _side_by_side(results)
    yield "## Sluicegate, by number of products\n"
    yield from _growth(results.get("sluicegate", {}).get("sizes", {}))
    yield NOTES["profile"]
    yield "## What is and what isn't comparable\n"
    for name, one in results.items():
        yield f"- **{name} {one['version']}**: {one['makes']}. {' '.join(one['notComparable'])}"
    yield NOTES["comparable"]


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"Measured on {machine['date']}: {machine['cores']} cores ({machine['processor']}),"
        f" {machine['memoryGiB']} GiB, Python {machine['python']}, Kubernetes"
        f" {machine['kubernetes']}, etcd {machine['etcd']}. All of the control plane, the fake"
        " nodes, the harness and the contender share these cores.\n"
    )


def _side_by_side(results: Mapping[str, Any]) -> Iterator[str]:
    sizes = sorted({int(size) for one in results.values() for size in one["sizes"]})
    for size in sizes:
        found = {
            n: one["sizes"][str(size)] for n, one in results.items() if str(size) in one["sizes"]
        }
        if len(found) < 2:  # noqa: PLR2004 - nothing beside which
            continue
        yield f"N = {size:,}; in brackets the ratio to sluicegate.\n"
        yield from _table(["", *found])
        for title, scenario, figure in RATIOS:
            own = _figure(found.get("sluicegate", {}), scenario, figure)
            cells = [_beside(_figure(one, scenario, figure), own) for one in found.values()]
            yield _line([title, *cells])
        yield ""


def _growth(sizes: Mapping[str, Any]) -> Iterator[str]:
    ordered = sorted(sizes, key=int)
    yield from _table(["", *(f"{int(size):,}" for size in ordered), "grows as", "bar"])
    for row in ROWS:
        values = [_figure(sizes[size], row.scenario, row.figure) for size in ordered]
        yield _line([row.title, *map(_shown, values), _fitted(row, ordered, values), row.bar])
    yield ""


def _fitted(row: Row, sizes: Sequence[str], values: Sequence[float | None]) -> str:
    if not row.fitted:
        return ""
    points = [(float(size), value) for size, value in zip(sizes, values, strict=True) if value]
    power = exponent(points)
    return "" if power is None else f"N^{power:.2f}"


def _figure(one: Mapping[str, Any], scenario: str, figure: str) -> float | None:
    value = one.get(scenario, {}).get(figure)
    return None if value is None else float(value)


def _beside(value: float | None, own: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{_shown(value)} ({value / own:.2g}×)" if own else _shown(value)


def _shown(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3g}"


def _table(titles: Sequence[str]) -> Iterator[str]:
    yield _line(titles)
    yield _line(["---"] * len(titles))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
