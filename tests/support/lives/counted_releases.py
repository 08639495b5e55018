"""A release of an upstream by counts alone: the operator's decisions, without its cluster.

The replay judges each block by the functions of the operator. A life costs a second of a core, and not
the eleven of one on virtual time (`upstream_lives.py`), so many more of them bound the rates.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks.virtual.variation import HOUR
from sluicegate.api.product import DataProduct
from sluicegate.policy.model.observed import UpstreamRelease
from sluicegate.simulation.replay import Replay
from sluicegate.simulation.replay_scenario import FactsChange, ReplayBlock, ReplayScenario
from sluicegate.stats.counts import Count
from tests.support.lives.truth import TrueLived
from tests.support.lives.upstream_lives import BLOCK, UpstreamLife, draw_upstream, is_due_to_it
from tests.support.virtual.stories import product

if TYPE_CHECKING:
    from collections.abc import Iterator


PRICING: Final = "catalog/pricing"
RELEASED_AT: Final = 86_400
WATCHED: Final = 2 * RELEASED_AT
"""Seconds after the release."""
TOTAL: Final = 20_000
"""Rows of the hold-out."""


@dataclass(frozen=True, slots=True)
class CountedRelease:
    """What is lived.

    Attributes
    ----------
    drawn : the kind, the effects and the traffic. shares : seconds from the release and the share of the
        traffic from then on. incident : begin and end of an incident of the upstream before the release,
        in seconds before it; empty for none.
    """

    drawn: UpstreamLife
    shares: tuple[tuple[int, float], ...]
    incident: tuple[int, ...] = ()

    @property
    def seed(self) -> int:
        """What it follows from."""
        return self.drawn.seed

    def simpler(self) -> Iterator[CountedRelease]:
        """The same without a part."""
        yield from (replace(self, drawn=drawn) for drawn in self.drawn.simpler())
        if self.incident:
            yield replace(self, incident=())

    def live(self) -> TrueLived:
        """Live it, and where the consumer decays or is retrained, once more without the release."""
        trained = self.seconds_until_trained()
        story: tuple[str, ...] = (f"trained after {trained}",)
        judged: dict[str, bool] = {}
        life = self.drawn
        usual = None
        if trained is not None or life.own:
            alone = replace(self, drawn=replace(life, lost=0.0), shares=())
            usual = alone.seconds_until_trained()
            story = (*story, f"without the release after {usual}")
        if life.kind == "bad release":
            judged["retrained on an upstream's release"] = is_due_to_it(trained, usual)
        elif usual is not None and usual > life.decays_at:
            late = 2 * (usual - life.decays_at) + life.decays_at
            judged["decay beside a release not retrained in twice the time"] = (
                trained is None or trained > late
            )
        return TrueLived((), judged, life.kind, RELEASED_AT + WATCHED, 0, {}, story)

    def seconds_until_trained(self) -> float | None:
        """Seconds from the release to the first training of the consumer; None without one."""
        running = Replay(self._scenario())
        for block in self._blocks():
            if running.advance(block).evaluation.decision.type == "Retrain":
                return block.at - RELEASED_AT
        return None

    def _scenario(self) -> ReplayScenario:
        life = self.drawn
        accuracy = {
            "name": "accuracy",
            "indicator": {"outcomes": {}},
            "maxDrop": str(life.drop),
            "onDegraded": "Retrain",
        }
        body = product(slos=[accuracy], dependsOn=[{"name": "pricing"}])
        return ReplayScenario(
            DataProduct.parse(body),
            "v1",
            {"accuracy": Count(round(life.wrong * TOTAL), TOTAL)},
            (),
            tuple(self._facts()),
            (),
        )

    def _facts(self) -> Iterator[tuple[int, FactsChange]]:
        if self.incident:
            begin, end = (RELEASED_AT - seconds for seconds in self.incident)
            # It counts for as long as its blocks are judged as present.
            yield begin, FactsChange(upstream_degraded=(PRICING,))
            yield end + 12 * BLOCK, FactsChange(upstream_degraded=())
        moments = [(RELEASED_AT + seconds, round(100 * share)) for seconds, share in self.shares]
        for number, (moment, _) in enumerate(moments, start=1):
            release = UpstreamRelease(PRICING, "v2", tuple(moments[:number]))
            yield moment, FactsChange(upstream_releases=(release,))

    def _blocks(self) -> Iterator[ReplayBlock]:
        """Yield the blocks, with the labels that have come."""
        life = self.drawn
        variation = life.sky.variation(f"upstream {life.seed}", life.wrong)
        labelled = life.rate * life.sky.known
        counters = {name: variation.counter("v1", name) for name in ("wrong", "correct")}
        for moment, wrong in self._courses():
            counters["wrong"].set_rate(moment, labelled * wrong, labelled)
            counters["correct"].set_rate(moment, labelled * (1 - wrong), -labelled)
        for number in range(1, round((RELEASED_AT + WATCHED) / BLOCK) + 1):
            end = number * BLOCK
            bad, good = (counters[name].count(end - BLOCK, end) for name in ("wrong", "correct"))
            yield ReplayBlock(end, {"v1": {"accuracy": Count(bad, bad + good)}})

    def _courses(self) -> Iterator[tuple[float, float]]:
        """Yield the moments at which the share of wrong predictions changes, and the share."""
        life = self.drawn
        moments = {0.0, RELEASED_AT + life.decays_at, *(RELEASED_AT + at for at, _ in self.shares)}
        moments |= {RELEASED_AT - seconds for seconds in self.incident}
        for moment in sorted(moments):
            after = moment - RELEASED_AT
            place = bisect_right([at for at, _ in self.shares], after)
            share = self.shares[place - 1][1] if place else 0.0
            decayed = life.own if after >= life.decays_at else 0.0
            disturbed = bool(self.incident) and -self.incident[0] <= after < -self.incident[1]
            yield moment, life.wrong + share * life.lost + decayed + disturbed * 3 * life.drop


def draw_counted(seed: int) -> CountedRelease:
    """The release of a seed."""
    dice = random.Random(f"counted {seed}")
    life = draw_upstream(seed)
    shares, after = [], 0
    for step in life.steps:
        shares.append((after, step / 100))
        after += round(dice.uniform(0.5 * HOUR, 4 * HOUR))
        if life.kind == "bad release" and dice.random() < 0.2:
            break
    shares.append((after, dice.choice((0.0, 1.0)) if life.lost else 1.0))
    ended = round(dice.uniform(0.25 * HOUR, 8 * HOUR))
    incident = (
        (ended + round(dice.uniform(0.5 * HOUR, 4 * HOUR)), ended) if dice.random() < 0.4 else ()
    )
    return CountedRelease(life, tuple(shares), incident)
