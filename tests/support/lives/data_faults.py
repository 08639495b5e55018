"""Lives of one product whose data go wrong, whose world drifts, or both: the truth of each is known.

A fault of the data that are served makes the live answers wrong, and no row of a training: these are
scored as they are in the warehouse. A drift makes both wrong. A training holds out the rows of its
newest hours, so of a change within them it sees as large a part as there was of it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import digest_of
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality, stamp
from tests.support.decisions.rollout_world import image
from tests.support.lives.product_years import scores
from tests.support.lives.truth import KEY, OUTPUT, SETTLED
from tests.support.virtual.stories import RARELY, product

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key

Body = dict[str, Any]

BEGIN: Final = 26 * HOUR
"""When the data go wrong: the baseline is that of a day of production."""
OBSERVED_DAYS: Final = 4
INPUT: Final = {
    "name": "feed",
    "freshnessSeconds": 3600,
    "promql": "time() - max(newest_row_seconds)",
}


class Fault(StrEnum):
    """What happens."""

    UNIT = "unit"
    """Kilometres are served for miles: most answers are wrong."""
    FEATURE = "feature"
    """A feature is renamed, and so missing: some answers are wrong."""
    FEED = "feed"
    """A feed is late, and its input says so."""
    DRIFT = "drift"
    """The world changes, and the model no longer fits."""
    BOTH = "both"
    """The world changes, and a feature is missing."""


@dataclass(frozen=True, slots=True)
class DataFault:
    """What is lived.

    Attributes
    ----------
    wrong : share of wrong answers while all is well. worse : by how much a fault adds to it, by how
        much a drift. held_out : hours of rows that a training holds out. rows : how many these are.
    """

    seed: int
    fault: Fault
    block: int
    wrong: float
    max_drop: float
    worse: float
    drift: float
    held_out: float
    rows: int
    training: float

    @property
    def is_of_data(self) -> bool:
        """Whether no training can help."""
        return self.fault in {Fault.UNIT, Fault.FEATURE, Fault.FEED}

    def live(self) -> Outcome:
        """Live it to its end."""
        return run_virtually(_live(self))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a life went.

    Attributes
    ----------
    causes : causes that the diagnosis named, in their order. trainings : how many began.
    after_report : how many of them began after one had reported. healed : whether a version serves
        that knows the drift.
    """

    causes: tuple[str, ...]
    trainings: int
    after_report: int
    healed: bool


def draw_data_fault(seed: int) -> DataFault:
    """The life of a seed."""
    dice = random.Random(f"data fault {seed}")
    wrong, drop = dice.choice(((0.05, 0.02), (0.1, 0.03), (0.2, 0.05)))
    fault = dice.choice(tuple(Fault))
    worse = {Fault.UNIT: dice.uniform(0.5, 0.75), Fault.FEED: dice.uniform(3, 8) * drop}
    return DataFault(
        seed,
        fault,
        dice.choice((300, 900)),
        wrong,
        drop,
        0.0 if fault is Fault.DRIFT else worse.get(fault, dice.uniform(4, 10) * drop),
        dice.uniform(3, 6) * drop if fault in {Fault.DRIFT, Fault.BOTH} else 0.0,
        dice.choice((0.5, 2.0, 12.0)),
        dice.choice((1000, 4000)),
        dice.choice((300.0, 1800.0)),
    )


@dataclass
class _Life:
    """A life while it is lived."""

    life: DataFault
    world: World
    key: Key = KEY
    learnt: dict[str, float] = field(default_factory=dict)
    """By digest of a version: when its training began."""
    began: list[float] = field(default_factory=list)
    reported: float = float("inf")
    causes: list[str] = field(default_factory=list)

    def share(self, digest: str, begin: float, end: float, *, live: bool) -> float:
        """The share of wrong answers of a version on rows of an interval; `live` ones have the fault."""
        life, changed = self.life, max(end - max(begin, BEGIN), 0.0) / max(end - begin, 1e-9)
        knows = self.learnt[digest] > BEGIN
        more = (0.0 if knows else life.drift) + (life.worse if live else 0.0)
        return min(life.wrong + changed * more, 0.95)

    def update_cluster(self) -> None:
        """Let each version be as wrong as it is now."""
        now = self.world.loop.time() + 1e-3
        for digest in self.learnt:
            wrong = self.share(digest, now - 1e-3, now, live=True)
            self.world.cluster.set_quality(f"x@sha256:{digest}", Quality(wrong=wrong))

    def train(self, job: Body) -> Training:
        """Train on what the warehouse has, and score both versions on its newest hours."""
        del job
        now, number = self.world.loop.time(), len(self.began) + 1
        self.began.append(now)
        self.reported = min(self.reported, now + self.life.training)
        dice = random.Random(f"{self.life.seed}/{number}")
        digest = sha256(f"{self.life.seed}/{number}".encode()).hexdigest()
        self.learnt[digest] = now
        self.update_cluster()
        begin = now - self.life.held_out * HOUR
        serving = digest_of(str((self.world.status(self.key).get("stable") or {}).get("image", "")))
        ours, theirs = (self.share(one, begin, now, live=False) for one in (digest, serving))
        report = {
            "image": f"{OUTPUT}@sha256:{digest}",
            "version": f"t{number}",
            "holdOutStartTime": stamp(self.world.loop.wall() - self.life.held_out * HOUR),
            **scores(dice, ours, theirs, self.life.rows),
        }
        return Training(seconds=self.life.training, report=report)

    def look(self) -> None:
        """Note the cause that status names."""
        cause = (self.world.status(self.key).get("diagnosis") or {}).get("cause", "")
        if cause and cause not in self.causes[-1:]:
            self.causes.append(cause)


async def _live(life: DataFault) -> Outcome:
    async with World(life.seed, SETTLED, for_days=True) as world:
        body = product(
            analysis={"blockSeconds": life.block},
            **({"inputs": [INPUT]} if life.fault is Fault.FEED else {}),
        )
        (slo,) = body["spec"]["slos"]
        slo["maxDrop"] = slo["maxRegression"] = str(life.max_drop)
        bad = {"bad": round(10_000 * life.wrong), "total": 10_000}
        body["spec"]["model"]["evaluation"] = {"accuracy": bad}
        key = world.apply(body)
        lived = _Life(life, world, key)
        world.cluster.trainers[key] = lived.train
        world.prometheus.inputs["feed"] = 60.0
        lived.learnt[digest_of(image("a"))] = 0.0
        lived.update_cluster()
        world.start(**RARELY)
        await world.run(BEGIN)
        if life.fault is Fault.FEED:
            world.prometheus.inputs["feed"] = 6 * HOUR
        lived.update_cluster()
        while world.loop.time() < BEGIN + OBSERVED_DAYS * DAY:
            await world.run(life.block)
            lived.look()
        serving = digest_of(str(world.status(key)["stable"]["image"]))
        after = sum(begun > lived.reported + 2 * life.block for begun in lived.began)
        return Outcome(tuple(lived.causes), len(lived.began), after, lived.learnt[serving] > BEGIN)
