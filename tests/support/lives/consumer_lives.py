"""A canary of an upstream on the whole operator, whose effect on a consumer is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.callings import Calling, calls_with
from benchmarks.virtual.cluster import Effect
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import Key
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, image
from tests.support.lives.canary_lives import LABELS_OF_A_VERDICT
from tests.support.lives.truth import SETTLED, TrueLived
from tests.support.lives.worlds import LEASES, Sky, draw_sky

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]

PRICING, SEARCH = Key("catalog", "pricing"), Key("catalog", "search")
BEFORE, RELEASED, CONSUMER = image("c"), image("d"), image("a")
BLOCK: Final = 300
LONGEST: Final = 15 * DAY
KINDS: Final = ("worse", "worse", "equal", "equal", "undrawn")
"""Of releases: worse by the consumer's margin, equal, much worse with requests that have no draw."""
PER_CALL: Final = 0.02


@dataclass(frozen=True, slots=True)
class ConsumerLife:
    """What is lived.

    Attributes
    ----------
    kind : of the release. wrong, drop : the consumer's share of wrong predictions, and the maxDrop of its
        SLO. mixed : share of its requests that would meet both versions without draws.
    steps : of the upstream's rollout. rate : requests a second of the consumer.
    """

    seed: int
    kind: str
    wrong: float
    drop: float
    mixed: float
    steps: tuple[int, ...]
    rate: float
    sky: Sky

    def simpler(self) -> Iterator[ConsumerLife]:
        """The same without a part."""
        yield from (replace(self, sky=sky) for sky in self.sky.simpler())

    def live(self) -> TrueLived:
        """Live it to the end of the rollout."""
        return run_virtually(_live(self))

    @property
    def lost(self) -> float:
        """The share of wrong predictions that the release adds."""
        return {"worse": self.drop, "equal": 0.0, "undrawn": 5 * self.drop}[self.kind]


def draw_consumer(seed: int) -> ConsumerLife:
    """The release of a seed."""
    dice = random.Random(f"consumer {seed}")
    wrong, drop = dice.choice(((0.1, 0.02), (0.1, 0.03), (0.2, 0.03), (0.3, 0.05)))
    sky = draw_sky(dice, 3.0, noisy=False, max_delay=HOUR)
    labels = LABELS_OF_A_VERDICT * wrong * (1 - wrong) / drop**2
    kind, mixed = dice.choice(KINDS), dice.choice((0.0, 0.2, 0.6))
    return ConsumerLife(
        seed,
        kind,
        wrong,
        drop,
        mixed or 0.2 * (kind == "undrawn"),
        dice.choice(((5, 25, 50), (10, 50), (50,))),
        round(labels / sky.known / 0.5 / (dice.choice((0.5, 1.0, 3.0)) * HOUR), 3),
        sky,
    )


def _documents(life: ConsumerLife) -> Iterator[Body]:
    serving: Body = {"runtimeImage": RUNTIME, "feedback": {"secretRef": {"name": "feedback"}}}
    accuracy: Body = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": str(life.drop),
        "onDegraded": "Alert",
    }
    availability: Body = {
        "name": "availability",
        "indicator": {"availability": {}},
        "objective": "0.9",
        "maxRegression": "0.03",
    }
    common: Body = {
        "owner": "group:default/catalog",
        "serving": serving,
        "analysis": {"blockSeconds": BLOCK},
    }
    consumers = {"names": [SEARCH.name], "parentRefs": GATEWAY["parentRefs"]}
    yield {
        "metadata": {"namespace": PRICING.namespace, "name": PRICING.name},
        "spec": {
            **common,
            "model": {"bento": {"image": BEFORE, "version": "v1", "service": "Search"}},
            "slos": [availability],
            "route": {**GATEWAY, "path": "/pricing"},
            "rollout": {"steps": list(life.steps), "consumers": consumers},
        },
    }
    yield {
        "metadata": {"namespace": SEARCH.namespace, "name": SEARCH.name},
        "spec": {
            **common,
            "model": {"bento": {"image": CONSUMER, "version": "v1", "service": "Search"}},
            "slos": [accuracy],
            "route": {**GATEWAY, "path": "/search"},
            "dependsOn": [{"name": PRICING.name, "evidence": "Required"}],
        },
    }


async def _live(life: ConsumerLife) -> TrueLived:
    async with World(life.seed, SETTLED, for_days=True) as world:
        cluster = world.cluster
        cluster.variations[SEARCH] = life.sky.variation(f"consumer {life.seed}", life.wrong)
        cluster.variations[PRICING] = Sky().variation(f"pricing {life.seed}", life.wrong)
        cluster.rates[SEARCH], cluster.rates[PRICING] = life.rate, 4.0
        cluster.set_quality(CONSUMER, Quality(wrong=life.wrong))
        cluster.effects[SEARCH] = (Effect(PRICING, RELEASED, life.lost),)
        calls = calls_with(life.mixed, 0.5)
        # A request may not be right more often than always.
        per_call = PER_CALL if life.wrong > 2 * PER_CALL * (calls + 1) else 0.0
        drawn = life.kind != "undrawn"
        cluster.callings[SEARCH] = Calling(PRICING, calls, per_call, draws=drawn)
        for document in _documents(life):
            world.apply(document)
        world.start(**LEASES)
        await world.run(6 * HOUR)
        released = world.loop.time()
        bento = {"image": RELEASED, "version": "v2", "service": "Search"}
        world.edit(PRICING, model={"bento": bento})
        outcome = ""
        while not outcome and world.loop.time() < released + LONGEST:
            await world.run(12 * BLOCK)
            model = world.status(PRICING)["specModel"]
            ended = model["version"] == "v2" and model["outcome"] != "InProgress"
            outcome = model["outcome"] if ended else ""
        hours = (world.loop.time() - released) / HOUR
        message = (world.status(PRICING).get("decision") or {}).get("message", "")
        story = (f"{outcome or 'no end'} after {hours:.0f} h", message)
        judged = dict(_judged(life, outcome))
        return TrueLived((), judged, outcome, world.loop.time(), world.steps, {}, story)


def _judged(life: ConsumerLife, outcome: str) -> Iterator[tuple[str, bool]]:
    match life.kind:
        case "worse":
            yield "promoted though worse for a consumer", outcome == "Promoted"
        case "equal":
            yield "rolled back though equal for a consumer", outcome == "RolledBack"
            yield "not promoted though equal for a consumer", outcome != "Promoted"
        case _:
            yield "verdict from requests without draws", outcome != "Inconclusive"
