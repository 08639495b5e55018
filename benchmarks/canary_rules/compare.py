"""The operator's rule and those of other tools, on the same traffic."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.canary_rules.other_tools import ArgoRolloutsLike, FlaggerLike, KayentaLike
from sluicegate.simulation.scenario import Scenario, SimulationSummary
from sluicegate.simulation.traffic import SimulatedTraffic
from sluicegate.simulation.vectorized_canary import Judge, Sequential, play

OURS = "Sluicegate"
RULES = (OURS, "Flagger-like", "Argo-Rollouts-like", "Kayenta-like")
DEGREES = {"equal": 0.0, "worse by δ/2": 0.5, "worse by δ": 1.0, "worse by 2δ": 2.0}


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Result of one rule on one traffic."""

    rule: str
    summary: SimulationSummary


def compare(scenario: Scenario, runs: int, seed: int) -> Iterator[ComparisonRow]:
    """Yield the result of each rule over this number of canaries.

    Blocks count as minutes for the other tools.
    """
    for rule in RULES:
        scenario_of_rule = scenario if rule == OURS else _in_time(scenario)
        traffic = SimulatedTraffic(scenario_of_rule, runs, seed)
        yield ComparisonRow(
            rule, play(_judge(rule, scenario_of_rule, traffic, seed), traffic, scenario_of_rule)
        )


def _in_time(scenario: Scenario) -> Scenario:
    """Return the SLOs that the other rules use: those with events that aren't late.

    A missing value is a failed check in them, and would roll back every candidate.
    """
    streams = tuple(s for s in scenario.streams if s.per_block > 0 and s.delay == 0)
    return replace(scenario, streams=streams or scenario.streams)


def _judge(rule: str, scenario: Scenario, traffic: SimulatedTraffic, seed: int) -> Judge:
    match rule:
        case "Flagger-like":
            return FlaggerLike(scenario, traffic.runs)
        case "Argo-Rollouts-like":
            return ArgoRolloutsLike(scenario, traffic.runs)
        case "Kayenta-like":
            return KayentaLike(scenario, traffic.runs, seed)
        case _:
            return Sequential(scenario, *traffic.past())


def worse_by(scenario: Scenario, margins: float) -> Scenario:
    """Return the scenario with a candidate that is worse in its first SLO by this many margins."""
    streams = tuple(
        replace(s, candidate_bad=s.stable_bad + (0.0 if i else margins * s.margin))
        for i, s in enumerate(scenario.streams)
    )
    return replace(scenario, streams=streams)
