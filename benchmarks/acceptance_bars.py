"""Acceptance bars: each is a figure, a limit, and the sizes that it applies to.

Bars on speed are ratios to the floor or to a peer of the same run, as the speed of the machine is
no property of the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OWN: Final = "sluicegate"
FLOOR: Final = "floor"
PEERS: Final = ("flagger", "argo-rollouts")
STARTS: Final = "starts.readySeconds"
TUNED: Final = ("flagger-tuned", "argo-rollouts-tuned")


def figure(results: Mapping[str, Any], contender: str, size: int, path: str) -> float | None:
    """Return a figure by contender, size and "scenario.name"; None if it wasn't measured.

    `results` is as in the JSON: `{"floor": {"sizes": {"50": {"cold": {"readySeconds": 2.5}}}}}`.
    """
    scenario, name = path.split(".")
    value = _scenario(results, contender, size, scenario).get(name)
    return None if value is None else float(value)


def same_run(
    results: Mapping[str, Any], name: str, size: int, path: str, *, beside: str = ""
) -> bool:
    """Return whether a contender's figure is from the same run as the operator's, as far as that is known.

    `beside` is the path of the operator's figure, if it differs.
    """
    figures = (OWN, beside or path), (name, path)
    own, other = (
        _scenario(results, contender, size, where.split(".")[0]).get("run")
        for contender, where in figures
    )
    return own is not None and own == other


def _scenario(
    results: Mapping[str, Any], contender: str, size: int, scenario: str
) -> Mapping[str, Any]:
    figures: Mapping[str, Any] = (
        results.get(contender, {}).get("sizes", {}).get(str(size), {}).get(scenario, {})
    )
    return figures


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes
    ----------
    title : name and unit of the figure.
    limit_text : the limit in words.
    value : the figure at a size; None if it wasn't measured.
    limit : the limit by size; None if there is none.
    """

    title: str
    limit_text: str
    value: Callable[[Mapping[str, Any], int], float | None]
    limit: Callable[[int], float | None]

    def holds(self, results: Mapping[str, Any], size: int) -> bool | None:
        """Return whether the bar is met at this size; None if it wasn't measured or doesn't apply."""
        value, limit = self.value(results, size), self.limit(size)
        return None if value is None or limit is None else value <= limit


def own(*paths: str) -> Callable[[Mapping[str, Any], int], float | None]:
    """Return a function for the largest of these figures of the operator."""

    def value(results: Mapping[str, Any], size: int) -> float | None:
        figures = [figure(results, OWN, size, path) for path in paths]
        return max((each for each in figures if each is not None), default=None)

    return value


def beside(path: str, others: tuple[str, ...]) -> Callable[[Mapping[str, Any], int], float | None]:
    """Return a function for the operator's figure, relative to the best of these contenders.

    Only figures of the same run are compared.
    """

    def value(results: Mapping[str, Any], size: int) -> float | None:
        own = figure(results, OWN, size, path)
        beside = [one for one in others if same_run(results, one, size, path)]
        other_figures = [figure(results, one, size, path) for one in beside]
        best = min((one for one in other_figures if one), default=None)
        return None if own is None or best is None else own / best

    return value


def beyond_starts(results: Mapping[str, Any], size: int) -> float | None:
    """Return the duration of a wave of promotions, relative to the ideal and the floor's starts."""
    seconds = figure(results, OWN, size, "promotions.seconds")
    ideal = figure(results, OWN, size, "promotions.idealSeconds")
    started = figure(results, FLOOR, size, STARTS)
    if seconds is None or ideal is None or started is None:
        return None
    if not same_run(results, FLOOR, size, STARTS, beside="promotions.seconds"):
        return None
    return seconds / (ideal + started)


def difference_of_queries(results: Mapping[str, Any], size: int) -> float | None:
    """Return the queries per block at this size beyond those at the smallest."""
    sizes = results.get(OWN, {}).get("sizes", {})
    figures = [figure(results, OWN, each, "steady.queriesPerBlock") for each in map(int, sizes)]
    least = min((each for each in figures if each is not None), default=None)
    own = figure(results, OWN, size, "steady.queriesPerBlock")
    return None if own is None or least is None else own - least


def at_most(limit: float, *, since: int = 0, upto: int = 10**9) -> Callable[[int], float | None]:
    """Return the same limit for all sizes from `since` up to `upto`."""
    return lambda size: limit if since <= size <= upto else None


def memory_limit(size: int) -> float | None:
    """Return the limit in MiB by number of products."""
    return {1000: 125.0, 5000: 256.0}.get(size)


BARS: Final = (
    Bar("cold start: all Ready, ratio to the floor", "≤ 1.25 from 1,000 on",
        beside("cold.readySeconds", (FLOOR,)), at_most(1.25, since=1000)),
    Bar("… ratio to the fastest peer as it ships", "< 1 from 1,000 on",
        beside("cold.readySeconds", PEERS), at_most(0.999, since=1000)),
    Bar("… ratio to the fastest peer with its limits lifted", "not promised: it may make fewer objects",
        beside("cold.readySeconds", TUNED), lambda _: None),
    Bar("… writes per product", "≤ 5", own("cold.writesUntilReady"), at_most(5)),
    Bar("memory, MiB (the most of cold start, restart and steady state)", "≤ 125 at 1,000, ≤ 256 at 5,000",
        own("cold.peakMemoryMiB", "steady.memoryMiB", "restart.memoryMiB"), memory_limit),
    Bar("event-loop lag p99, s, in cold start", "≤ 0.25", own("cold.loopLagP99Seconds"), at_most(0.25)),
    Bar("… in steady state", "≤ 0.25", own("steady.loopLagP99Seconds"), at_most(0.25)),
    Bar("… in the wave of promotions", "≤ 0.25", own("promotions.loopLagP99Seconds"), at_most(0.25)),
    Bar("… in a restart", "≤ 0.25", own("restart.loopLagP99Seconds"), at_most(0.25)),
    Bar("restart: writes of any kind", "0", own("restart.writes"), at_most(0)),
    Bar("… lease to all reconciled, s", "≤ 5 at 1,000", own("restart.leaseToReconciledSeconds"), at_most(5, upto=1000)),
    Bar("… the process before ended within, s", "< 5", own("restart.stopSeconds"), at_most(4.999)),
    Bar("idle: writes", "0", own("steady.writes"), at_most(0)),
    Bar("… reads per second beyond the lease", "≤ 0.2", own("steady.readsPerSecond"), at_most(0.2)),
    Bar("… share of a core between blocks", "≤ 0.01 at 1,000", own("steady.cpuShareBetweenBlocks"), at_most(0.01, upto=1000)),
    Bar("… Prometheus queries per block beyond those at the smallest N", "0", difference_of_queries, at_most(0)),
    Bar("wave of promotions: ratio to the ideal", "≤ 1.3 at 1,000", own("promotions.ratioToIdeal"), at_most(1.3, upto=1000)),
    Bar("… ratio to the ideal and the floor's start of as many products", "≤ 1.3", beyond_starts, at_most(1.3)),
    Bar("… writes per promotion, events included", "≤ 18", own("promotions.writesAndEventsUntilPromoted"), at_most(18)),
    Bar("wave of degradations: confirming block to first Job, blocks", "≤ 2",
        own("degradations.confirmedToFirstJobBlocks"), at_most(2)),
    Bar("… Jobs at once", "≤ 2", own("degradations.mostAtOnce"), at_most(2)),
    Bar("… Jobs at once in a namespace", "≤ 1", own("degradations.mostInNamespace"), at_most(1)),
    Bar("… starts that passed over a product of higher priority", "0", own("degradations.priorityInversions"), at_most(0)),
    Bar("common cause: Jobs", "0", own("commonCause.jobs"), at_most(0)),
)  # fmt: skip


def failures(results: Mapping[str, Any]) -> Iterator[tuple[str, int, str, str]]:
    """Yield contender, size, scenario and reason of each failed scenario."""
    for contender, contender_results in results.items():
        for size, scenarios in contender_results["sizes"].items():
            for scenario, figures_of in scenarios.items():
                if "failed" in figures_of:
                    yield contender, int(size), scenario, figures_of["failed"]
