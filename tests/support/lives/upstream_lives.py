"""A release of an upstream on the whole operator, whose effect on a consumer is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import Effect
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality
from sluicegate.kube.resources import Key
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, image
from tests.support.lives.truth import OUTPUT, SETTLED, TrueLived
from tests.support.lives.worlds import LEASES, Sky, draw_sky

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]

PRICING, SEARCH = Key("catalog", "pricing"), Key("catalog", "search")
BEFORE, RELEASED, CONSUMER = image("c"), image("d"), image("a")
BLOCK: Final = 300
WATCHED: Final = 2 * DAY
"""Seconds after the release."""
KINDS: Final = ("bad release", "bad release", "decay", "both")


@dataclass(frozen=True, slots=True)
class UpstreamLife:
    """What is lived.

    Attributes
    ----------
    kind : of a bad release alone, a decay of the consumer beside a good release, or both.
    wrong, drop : the consumer's share of wrong predictions, and the maxDrop of its SLO.
    lost : more wrong predictions at all of the traffic on a bad release. own : the same by its decay.
    decays_at : seconds from the release to the decay.
    steps : of the upstream's rollout. rate : requests a second of the consumer.
    """

    seed: int
    kind: str
    wrong: float
    drop: float
    lost: float
    own: float
    decays_at: float
    steps: tuple[int, ...]
    rate: float
    sky: Sky

    def simpler(self) -> Iterator[UpstreamLife]:
        """The same without a part."""
        yield from (replace(self, sky=sky) for sky in self.sky.simpler())

    def live(self) -> TrueLived:
        """Live it, and where the consumer decays, once more without a dependency.

        One that is retrained without a decay lives once more with a good release.
        """
        trained, seconds, steps = run_virtually(_live(self, depends=True))
        story: tuple[str, ...] = (f"trained after {trained}",)
        judged: dict[str, bool] = {}
        if self.kind == "bad release":
            usual = None
            if trained is not None:
                usual, _, _ = run_virtually(_live(replace(self, lost=0.0), depends=True))
                story = (*story, f"with a good release after {usual}")
            judged["retrained on an upstream's release"] = is_due_to_it(trained, usual)
        else:
            usual, _, _ = run_virtually(_live(self, depends=False))
            story = (*story, f"without the dependency after {usual}")
            if usual is not None and usual > self.decays_at:
                latest_training = 2 * (usual - self.decays_at) + self.decays_at
                judged["decay beside a release not retrained in twice the time"] = (
                    trained is None or trained > latest_training
                )
        return TrueLived((), judged, self.kind, seconds, steps, {}, story)


def is_due_to_it(trained: float | None, usual: float | None) -> bool:
    """Return whether a training is due to the release.

    Labels of wrong and of right answers that come after unequal times look like a decay where the traffic
    changes, also without a release.

    Parameters
    ----------
    trained, usual : seconds until the training with the bad release and without it; None without one.
    """
    return trained is not None and (usual is None or usual > trained)


def draw_upstream(seed: int) -> UpstreamLife:
    """The release of a seed."""
    dice = random.Random(f"upstream {seed}")
    kind = dice.choice(KINDS)
    wrong, drop = dice.choice(((0.1, 0.03), (0.1, 0.05), (0.2, 0.05)))
    sky = draw_sky(dice, 3.0, noisy=dice.random() < 0.5, max_delay=HOUR)
    return UpstreamLife(
        seed,
        kind,
        wrong,
        drop,
        dice.choice((2.0, 3.0, 5.0)) * drop if kind != "decay" else 0.0,
        dice.choice((2.0, 3.0, 5.0)) * drop if kind != "bad release" else 0.0,
        dice.uniform(0.0, 12 * HOUR),
        dice.choice(((5, 25, 50), (10, 50), (50,))),
        dice.choice((1.0, 4.0, 16.0)),
        sky,
    )


def _documents(life: UpstreamLife, *, depends: bool) -> Iterator[Body]:
    total = 20_000
    serving: Body = {"runtimeImage": RUNTIME, "feedback": {"secretRef": {"name": "feedback"}}}
    accuracy: Body = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": str(life.drop),
        "onDegraded": "Retrain",
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
    route = GATEWAY
    yield {
        "metadata": {"namespace": PRICING.namespace, "name": PRICING.name},
        "spec": {
            **common,
            "model": {"bento": {"image": BEFORE, "version": "v1", "service": "Search"}},
            "slos": [availability],
            "route": {**route, "path": "/pricing"},
            "rollout": {"steps": list(life.steps), "maxDurationSeconds": 86_400},
        },
    }
    yield {
        "metadata": {"namespace": SEARCH.namespace, "name": SEARCH.name},
        "spec": {
            **common,
            "model": {
                "bento": {"image": CONSUMER, "version": "v1", "service": "Search"},
                "evaluation": {"accuracy": {"bad": round(life.wrong * total), "total": total}},
            },
            "slos": [accuracy],
            "route": {**route, "path": "/search"},
            "retraining": {"command": ["train"], "output": OUTPUT},
            **({"dependsOn": [{"name": PRICING.name}]} if depends else {}),
        },
    }


async def _live(life: UpstreamLife, *, depends: bool) -> tuple[float | None, float, int]:
    """Return when the consumer was trained after the release, in seconds, and the life's length."""
    async with World(life.seed, SETTLED, for_days=True) as world:
        cluster = world.cluster
        cluster.variations[SEARCH] = life.sky.variation(f"upstream {life.seed}", life.wrong)
        cluster.variations[PRICING] = Sky().variation(f"pricing {life.seed}", life.wrong)
        cluster.rates[SEARCH], cluster.rates[PRICING] = life.rate, 4.0
        cluster.set_quality(CONSUMER, Quality(wrong=life.wrong))
        cluster.effects[SEARCH] = (Effect(PRICING, RELEASED, life.lost),)
        for document in _documents(life, depends=depends):
            world.apply(document)
        world.start(**LEASES)
        await world.run(DAY)
        released = world.loop.time()
        bento = {"image": RELEASED, "version": "v2", "service": "Search"}
        world.edit(PRICING, model={"bento": bento})
        if life.own:
            decayed = Quality(wrong=life.wrong + life.own)
            world.loop.call_later(life.decays_at, cluster.set_quality, CONSUMER, decayed)
        trained = None
        while world.loop.time() < released + WATCHED and trained is None:
            await world.run(BLOCK)
            if "lastTrainingTime" in (world.status(SEARCH).get("retraining") or {}):
                trained = world.loop.time() - released
        return trained, world.loop.time(), world.steps
