"""Writes docs/benchmarks.md from the JSON of the runs: bars first, then all figures, then limits.

`python -m benchmarks.report` does it without measuring anything.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bars import BARS, FLOOR, OWN, failures, figure
from benchmarks.figures import exponent
from benchmarks.notes import NOTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
RESULTS: Final = ROOT / "docs" / "benchmarks.json"
NOTHING: Final = "–"
MARKS: Final = {True: " ✓", False: " **✗**", None: ""}
LARGE: Final = 100
"""Figures from here on are shown whole."""
MOST_KINDS: Final = 12
"""Kinds of requests that are listed; what is left is watches and lists, one each."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure in a table: its title with the unit, and "scenario.name" in the JSON."""

    title: str
    path: str


GROWTH: Final = (
    Row("cold start: all Ready, s", "cold.readySeconds"),
    Row("… writes per product until it is ready", "cold.writesUntilReady"),
    Row("… writes per product in all", "cold.writesPerObject"),
    Row("… events per product", "cold.eventsPerObject"),
    Row("… reads per product", "cold.readsPerObject"),
    Row("… CPU, s", "cold.cpuSeconds"),
    Row("… CPU, ms per product", "cold.cpuMillisecondsPerObject"),
    Row("… peak memory, MiB", "cold.peakMemoryMiB"),
    Row("… loop lag p50, s", "cold.loopLagP50Seconds"),
    Row("… loop lag p99, s", "cold.loopLagP99Seconds"),
    Row("… reconcile p50, s", "cold.reconcileP50Seconds"),
    Row("… reconcile p99, s", "cold.reconcileP99Seconds"),
    Row("… queue wait p50, s", "cold.queueWaitP50Seconds"),
    Row("… queue wait p99, s", "cold.queueWaitP99Seconds"),
    Row("steady: CPU between blocks, share of a core", "steady.cpuShareBetweenBlocks"),
    Row("… CPU over all, share of a core", "steady.cpuShare"),
    Row("… CPU per block, s", "steady.cpuSecondsPerBlock"),
    Row("… Prometheus queries per block", "steady.queriesPerBlock"),
    Row("… writes", "steady.writes"),
    Row("… reads per second", "steady.readsPerSecond"),
    Row("… memory, MiB", "steady.memoryMiB"),
    Row("… loop lag p50, s", "steady.loopLagP50Seconds"),
    Row("… loop lag p99, s", "steady.loopLagP99Seconds"),
    Row("… watched for, s", "steady.seconds"),
    Row("restart: until it leads, s", "restart.leadsSeconds"),
    Row("… from the lease to all reconciled, s", "restart.leaseToReconciledSeconds"),
    Row("… until it is quiet, s", "restart.quietSeconds"),
    Row("… CPU, s", "restart.cpuSeconds"),
    Row("… writes", "restart.writes"),
    Row("… reads", "restart.reads"),
    Row("… graceful stop of the one before, s", "restart.stopSeconds"),
    Row("promotions: products at once", "promotions.products"),
    Row("… ratio to the ideal", "promotions.ratioToIdeal"),
    Row(
        "… writes and events per promotion until it is one",
        "promotions.writesAndEventsUntilPromoted",
    ),
    Row("… writes per promotion in all", "promotions.writesPerObject"),
    Row("… events per promotion", "promotions.eventsPerObject"),
    Row("… reads per promotion", "promotions.readsPerObject"),
    Row("… loop lag p99, s", "promotions.loopLagP99Seconds"),
    Row("degradations: products at once", "degradations.products"),
    Row("… of which found degraded", "degradations.foundDegraded"),
    Row("… breach to first Job, blocks", "degradations.breachToFirstJobBlocks"),
    Row("… confirming block to first Job, blocks", "degradations.confirmedToFirstJobBlocks"),
    Row("… Jobs in 90 s", "degradations.jobs"),
    Row("common cause: products at once", "commonCause.products"),
    Row("… share blamed on the common cause", "commonCause.blamedOnCommonCause"),
    Row("… Jobs", "commonCause.jobs"),
)

SIDE_BY_SIDE: Final = (
    Row("all Ready, s", "cold.readySeconds"),
    Row("writes per product until it is ready", "cold.writesUntilReady"),
    Row("reads per product", "cold.readsPerObject"),
    Row("CPU per product, ms", "cold.cpuMillisecondsPerObject"),
    Row("peak memory, MiB", "cold.peakMemoryMiB"),
    Row("idle: share of a core", "steady.cpuShare"),
    Row("idle: reads per second", "steady.readsPerSecond"),
    Row("idle: writes", "steady.writes"),
    Row("restart: quiet after, s", "restart.quietSeconds"),
    Row("restart: reads", "restart.reads"),
    Row("restart: writes", "restart.writes"),
    Row("promotions: seconds", "promotions.seconds"),
    Row("promotions: ratio to the ideal", "promotions.ratioToIdeal"),
    Row(
        "promotions: writes and events each until promoted",
        "promotions.writesAndEventsUntilPromoted",
    ),
    Row("promotions: writes and events each in all", "promotions.writesAndEventsPerObject"),
    Row("promotions: reads each", "promotions.readsPerObject"),
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
    sizes = sorted({int(size) for one in results.values() for size in one["sizes"]})
    yield NOTES["title"]
    yield _machine(document["machine"])
    yield NOTES["method"]
    yield "## Bars\n"
    yield from _bars(results, sizes)
    yield "## Side by side\n"
    yield from _side_by_side(results, sizes)
    yield from _given_up(results)
    yield "## Sluicegate, by number of products\n"
    yield from _growth(results, sizes)
    yield "## Requests to the API server\n"
    yield from _requests(results, sizes)
    yield from _profile(document.get("profile"))
    yield "## What is and what isn't comparable\n"
    for name, one in results.items():
        yield f"- **{name} {one['version']}**: {one['makes']}. {' '.join(one['notComparable'])}"


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"Measured on {machine['date']}: {machine['cores']} cores ({machine['processor']}),"
        f" {machine['memoryGiB']} GiB, Python {machine['python']}, Kubernetes"
        f" {machine['kubernetes']}, etcd {machine['etcd']}. All of the control plane, the fake"
        " nodes, the harness and the contender share these cores.\n"
    )


def _bars(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    shown = [size for size in sizes if str(size) in results.get(OWN, {}).get("sizes", {})]
    yield from _table(["", *(f"N = {size:,}" for size in shown), "wanted"])
    for bar in BARS:
        cells = [
            _shown(bar.value(results, size)) + MARKS[bar.holds(results, size)] for size in shown
        ]
        yield _line([bar.title, *cells, bar.wanted])
    yield ""


def _side_by_side(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    for size in sizes:
        found = [name for name, one in results.items() if str(size) in one["sizes"]]
        if len(found) < 2:  # noqa: PLR2004 - nothing beside which
            continue
        yield f"N = {size:,}; in brackets the ratio to {OWN}.\n"
        yield from _table(["", *found])
        for row in SIDE_BY_SIDE:
            ours = figure(results, OWN, size, row.path)
            cells = [_beside(figure(results, name, size, row.path), ours) for name in found]
            yield _line([row.title, *cells])
        yield ""


def _given_up(results: Mapping[str, Any]) -> Iterator[str]:
    for who, size, scenario, why in failures(results):
        first = why.splitlines()[0]
        yield f"- {who}, N = {size:,}, {scenario}: given up: {first}"
    yield ""


def _growth(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    yield NOTES["growth"]
    for who in (OWN, FLOOR):
        measured = [size for size in sizes if str(size) in results.get(who, {}).get("sizes", {})]
        if who == FLOOR and measured:
            yield "The floor:\n"
        if measured:
            yield from _grown(results, who, measured)


def _grown(results: Mapping[str, Any], who: str, sizes: Sequence[int]) -> Iterator[str]:
    yield from _table(["", *(f"{size:,}" for size in sizes), "grows as"])
    for row in GROWTH:
        values = [figure(results, who, size, row.path) for size in sizes]
        if any(value is not None for value in values):
            yield _line([row.title, *map(_shown, values), _fitted(sizes, values)])
    yield ""


def _fitted(sizes: Sequence[int], values: Sequence[float | None]) -> str:
    points = [(float(size), value) for size, value in zip(sizes, values, strict=True) if value]
    power = exponent(points)
    return "" if power is None else f"N^{power:.2f}"


def _requests(results: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[str]:
    """Requests by verb and kind, per product or promotion, at the largest size that all share."""
    for scenario, what in (("cold", "per new product"), ("promotions", "per promotion")):
        known = {
            name: {int(size) for size, found in one["sizes"].items() if _has(found, scenario)}
            for name, one in results.items()
        }
        measured = {name: found for name, found in known.items() if found}
        common = set(sizes).intersection(*measured.values()) if measured else set()
        if not common:
            continue
        size = max(common)
        yield f"{what.capitalize()}, N = {size:,}:\n"
        yield from _table(["", "by verb and kind"])
        for name in measured:
            found = results[name]["sizes"][str(size)][scenario]
            objects = found.get("products", size)
            kinds = [
                f"{number / objects:.2g} {kind}"
                for kind, number in list(found["requests"].items())[:MOST_KINDS]
                if number >= objects / 20
            ]
            yield _line([name, ", ".join(kinds)])
        yield ""


def _has(found: Mapping[str, Any], scenario: str) -> bool:
    return "requests" in found.get(scenario, {})


def _profile(profile: Mapping[str, Any] | None) -> Iterator[str]:
    if profile is None:
        return
    yield "## Where the time goes\n"
    yield (
        f"Cold start of {profile['products']:,} products and {profile['seconds']:.0f} s after it:"
        f" {profile['cpuSeconds']:.1f} s of work of all threads, sampled (`python -m"
        " benchmarks.profiling`), by the package that does it or has the standard library do it.\n"
    )
    yield from _table(["share", "spent in"])
    for name, share in profile["packages"].items():
        yield _line([f"{share:.1%}", name])
    yield ""


def _beside(value: float | None, own: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{_shown(value)} ({_shown(value / own)}×)" if own else _shown(value)


def _shown(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value == int(value) or abs(value) >= LARGE:
        return f"{round(value):,}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}"


def _table(titles: Sequence[str]) -> Iterator[str]:
    yield _line(titles)
    yield _line(["---"] * len(titles))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
