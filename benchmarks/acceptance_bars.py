"""What was promised, and whether it held: each bar as a figure, a limit, and the sizes it is for.

Bars on speed are ratios to the floor or to a peer of the same run, as a machine's speed is no
property of the operator.
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


def figure(results: Mapping[str, Any], who: str, size: int, path: str) -> float | None:
    """A figure by contender, size and "scenario.name"; None where it wasn't measured.

    `results` is as in the JSON: `{"floor": {"sizes": {"50": {"cold": {"readySeconds": 2.5}}}}}`.
    """
    scenario, name = path.split(".")
    value = _scenario(results, who, size, scenario).get(name)
    return None if value is None else float(value)


def same_run(
    results: Mapping[str, Any], who: str, size: int, path: str, *, beside: str = ""
) -> bool:
    """Whether a contender's figure was measured in the same run as ours, as far as that is known.

    `beside` is the path of ours where it is another one.
    """
    asked = (OWN, beside or path), (who, path)
    ours, theirs = (
        _scenario(results, one, size, where.split(".")[0]).get("run") for one, where in asked
    )
    return ours is not None and ours == theirs


def _scenario(results: Mapping[str, Any], who: str, size: int, scenario: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (
        results.get(who, {}).get("sizes", {}).get(str(size), {}).get(scenario, {})
    )
    return found


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise.

    Attributes
    ----------
    title : what is measured, with its unit.
    wanted : the limit in words.
    value : the figure at a size; None where it wasn't measured.
    limit : the most it may be, by size; None where nothing is promised.
    """

    title: str
    wanted: str
    value: Callable[[Mapping[str, Any], int], float | None]
    limit: Callable[[int], float | None]

    def holds(self, results: Mapping[str, Any], size: int) -> bool | None:
        """Whether it is kept at this size; None where it wasn't measured or isn't promised."""
        value, limit = self.value(results, size), self.limit(size)
        return None if value is None or limit is None else value <= limit


def own(*paths: str) -> Callable[[Mapping[str, Any], int], float | None]:
    """The largest of these figures of ours."""

    def value(results: Mapping[str, Any], size: int) -> float | None:
        found = [figure(results, OWN, size, path) for path in paths]
        return max((one for one in found if one is not None), default=None)

    return value


def beside(path: str, others: tuple[str, ...]) -> Callable[[Mapping[str, Any], int], float | None]:
    """Our figure as a ratio to the best of these contenders in the same run."""

    def value(results: Mapping[str, Any], size: int) -> float | None:
        ours = figure(results, OWN, size, path)
        beside = [one for one in others if same_run(results, one, size, path)]
        theirs = [figure(results, one, size, path) for one in beside]
        best = min((one for one in theirs if one), default=None)
        return None if ours is None or best is None else ours / best

    return value


def beyond_starts(results: Mapping[str, Any], size: int) -> float | None:
    """What a wave of promotions took, by the ideal and what the floor took to start as many."""
    took = figure(results, OWN, size, "promotions.seconds")
    ideal = figure(results, OWN, size, "promotions.idealSeconds")
    started = figure(results, FLOOR, size, STARTS)
    if took is None or ideal is None or started is None:
        return None
    if not same_run(results, FLOOR, size, STARTS, beside="promotions.seconds"):
        return None
    return took / (ideal + started)


def difference_of_queries(results: Mapping[str, Any], size: int) -> float | None:
    """Queries per block at this size beyond those at the smallest."""
    sizes = results.get(OWN, {}).get("sizes", {})
    found = [figure(results, OWN, one, "steady.queriesPerBlock") for one in map(int, sizes)]
    least = min((one for one in found if one is not None), default=None)
    here = figure(results, OWN, size, "steady.queriesPerBlock")
    return None if here is None or least is None else here - least


def at_most(limit: float, *, since: int = 0, upto: int = 10**9) -> Callable[[int], float | None]:
    """The same limit for all sizes from `since` up to `upto`."""
    return lambda size: limit if since <= size <= upto else None


def memory_limit(size: int) -> float | None:
    """MiB by number of products."""
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
    """Contender, size, scenario and why, for all that was given up."""
    for who, one in results.items():
        for size, scenarios in one["sizes"].items():
            for scenario, found in scenarios.items():
                if "failed" in found:
                    yield who, int(size), scenario, found["failed"]
