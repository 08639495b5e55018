"""Simulated canaries without NumPy: the engine itself is asked after each block. Slower, not other.

Random numbers differ from the vectorised path, so results agree as two samples of one law do.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import exp, inf, log, pi, sin
from random import Random

from sluicegate.api.canary import VersionSource
from sluicegate.policy.canary import assess
from sluicegate.policy.decision import Advance, Inconclusive, Promote, Rollback
from sluicegate.policy.memory import Accepted, Candidate, Memory, Release, WeightChange
from sluicegate.policy.observed import CanaryBlock, Facts, Observed
from sluicegate.policy.rollout import decide
from sluicegate.policy.terms import Terms
from sluicegate.simulation.scenario import Scenario, Stream, Summary, Verdict, summarise
from sluicegate.slo.blocks import Block, Count, Quality

SECONDS_PER_DAY = 86_400
_SMALL = 30.0
_Run = tuple[dict[int, int], float, Random]
"""Of one run: the weight at each block so far, the phase of its day, its random numbers."""
_MEMORY = Memory(stable=Accepted(Release("stable"), 0))


class Canary:
    """One candidate, as the engine sees it: shown a block, it moves on or comes to a verdict."""

    def __init__(self, terms: Terms, scenario: Scenario, past: list[CanaryBlock]) -> None:
        self._terms, self._seconds = terms, scenario.block_seconds
        self._blocks = past
        start = past[-1].end
        first = (WeightChange(start, terms.steps[0]),)
        self._candidate = Candidate(Release("candidate"), VersionSource.SPEC, start, first)

    @property
    def weight(self) -> int:
        """Its share in percent."""
        return self._candidate.weight

    def observe(self, block: CanaryBlock) -> Verdict:
        """The verdict after one more block."""
        self._blocks.append(block)
        observed = Observed(
            block=block.end // self._terms.block_seconds,
            canary_blocks=tuple(self._blocks),
            canary_block_seconds=self._seconds,
        )
        assessment = assess(self._terms, _MEMORY, self._candidate, observed)
        frozen = {slo.terms.name: slo.correlation for slo in assessment.slos}
        self._candidate = replace(self._candidate, correlation=frozen)
        decision = decide(
            self._terms,
            _MEMORY,
            self._candidate,
            assessment,
            facts=Facts(),
            now=block.end,
            approved=True,
        )
        match decision:
            case Rollback():
                return Verdict.ROLLED_BACK
            case Promote():
                return Verdict.PROMOTED
            case Inconclusive():
                return Verdict.INCONCLUSIVE
            case Advance():
                self._advance(decision.weight, block.end)
            case _:
                pass
        return Verdict.RUNNING

    def _advance(self, weight: int, now: int) -> None:
        weights = (*self._candidate.weights, WeightChange(now, weight))
        self._candidate = replace(self._candidate, weights=weights)


def simulate(terms: Terms, scenario: Scenario, runs: int, seed: int) -> Summary:
    """The engine's rule over so many canaries."""
    random = Random(seed)
    ends = [_run(terms, scenario, random) for _ in range(runs)]
    return summarise([verdict for verdict, _ in ends], [minutes for _, minutes in ends])


def _run(terms: Terms, scenario: Scenario, random: Random) -> tuple[Verdict, float]:
    phase = random.uniform(0, 2 * pi)
    past = [_block(scenario, time, ({}, phase, random)) for time in range(-scenario.past_blocks, 0)]
    canary = Canary(terms, scenario, past)
    weights: dict[int, int] = {}
    for time in range(scenario.blocks):
        weights[time] = canary.weight
        verdict = canary.observe(_block(scenario, time, (weights, phase, random)))
        if verdict is not Verdict.RUNNING:
            return verdict, (time + 1) * scenario.minutes_per_block
    return Verdict.INCONCLUSIVE, scenario.blocks * scenario.minutes_per_block


def _block(scenario: Scenario, time: int, run: _Run) -> CanaryBlock:
    arms = {s.name: _arms(scenario, s, time - s.delay, run) for s in scenario.streams}
    return canary_block((time + scenario.past_blocks + 1) * scenario.block_seconds, arms)


def canary_block(end: int, arms: dict[str, tuple[Count, Count]]) -> CanaryBlock:
    """A block of (candidate, stable) by SLO, as it is read."""
    return CanaryBlock(
        end,
        Quality.COUNTED,
        stable={name: Block(0, Quality.COUNTED, pair[1]) for name, pair in arms.items()},
        candidate={name: Block(0, Quality.COUNTED, pair[0]) for name, pair in arms.items()},
    )


def _arms(scenario: Scenario, stream: Stream, time: int, run: _Run) -> tuple[Count, Count]:
    weights, phase, random = run
    angle = 2 * pi * time * scenario.block_seconds / SECONDS_PER_DAY + phase
    swing = 1 + scenario.daily_swing * sin(angle)
    events = stream.per_block * max(swing, 0.0)
    share = weights.get(time, 0) / 100
    stable = min(max(stream.stable_bad * swing, 0.0), 1.0)
    candidate = min(max(stable + stream.candidate_bad - stream.stable_bad, 0.0), 1.0)
    ours, theirs = poisson(random, events * share), poisson(random, events * (1 - share))
    rho = scenario.burst_correlation
    return (
        Count(binomial(random, ours, _burst(random, candidate, rho)), ours),
        Count(binomial(random, theirs, _burst(random, stable, rho)), theirs),
    )


def _burst(random: Random, ratio: float, rho: float) -> float:
    if rho <= 0 or ratio <= 0 or ratio >= 1:
        return ratio
    scale = 1 / rho - 1
    return (
        random.betavariate(ratio * scale, (1 - ratio) * scale)
        if scale > 0
        else float(random.random() < ratio)
    )


def poisson(random: Random, mean: float) -> int:
    """Poisson by waiting times, after gamma steps for large means (Ahrens and Dieter, 1974)."""
    count = 0
    while mean > _SMALL:
        step = int(mean * 7 / 8)
        waited = random.gammavariate(step, 1.0)
        if waited > mean:
            return count + binomial(random, step - 1, mean / waited)
        count, mean = count + step, mean - waited
    limit, product = exp(-mean), random.random()
    while product > limit:
        count, product = count + 1, product * random.random()
    return count


def binomial(random: Random, trials: int, ratio: float) -> int:
    """Binomial by waiting times, after medians of order statistics for many (Devroye, 1986, X.4)."""
    hits = 0
    while trials * min(ratio, 1 - ratio) > _SMALL:
        middle = trials // 2 + 1
        median = random.betavariate(middle, trials + 1 - middle)
        if median <= ratio:
            hits, trials = hits + middle, trials - middle
            ratio = (ratio - median) / (1 - median)
        else:
            trials, ratio = middle - 1, ratio / median
    if ratio > 1 / 2:
        return hits + trials - _by_waiting(random, trials, 1 - ratio)
    return hits + _by_waiting(random, trials, ratio)


def _by_waiting(random: Random, trials: int, ratio: float) -> int:
    return sum(1 for _ in _hits(random, trials, ratio))


def _hits(random: Random, trials: int, ratio: float) -> Iterator[int]:
    """Places of the hits: the gaps between them are geometric."""
    per_trial = log(1 - ratio) if ratio > 0 else -0.0
    place = 0.0
    while per_trial < 0:
        drawn = random.random()
        place += (log(drawn) // per_trial if drawn > 0 else inf) + 1
        if place > trials:
            return
        yield int(place)
