"""Lives of one product whose data go wrong, whose world drifts, or both: the truth of each is known.

A fault of the data that are served makes the live answers wrong, and no row of a training: these are
scored as they are in the warehouse. A drift makes both wrong. A training holds out the rows of its
newest hours, so of a change within them it sees as large a part as there was of it. Where the contract of
an input is broken with them, the operator needs no training to know it. Trainings compare features of their
rows and of requests with the library.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import digest_of
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.trainings import Training, trigger_of
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality, stamp
from sluicegate_service.feature_differences import compare
from sluicegate_service.training import MIN_SCORED_ROWS
from sluicegate_service.warehouse import LoggedRequest
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.lives.product_years import scores
from tests.support.lives.truth import KEY, OUTPUT, SETTLED, TrueLived
from tests.support.virtual.markets import MARKETS, SHARES
from tests.support.virtual.stories import RARELY, product

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sluicegate.kube.resources import Key

Body = dict[str, Any]

BEGIN: Final = 26 * HOUR
"""When the data go wrong: the baseline is that of a day of production."""
OBSERVED_DAYS: Final = 4
CHECKED: Final = 0.5
"""Share of the changed units and features that break a contract of an input."""
SCORING: Final = 0.8
"""Share of the trainings that score the stable version before they fit another one."""
LATE: Final = {
    "name": "feed",
    "freshnessSeconds": 3600,
    "promql": "time() - max(newest_row_seconds)",
}
CHANGED: Final = {
    "name": "requests",
    "contract": "contracts/requests.yaml",
    "promql": "max(rules_broken)",
}
COMPARED_ROWS: Final = 500
"""Rows, and requests, of a training whose features are compared."""
MARKET: Final = "AT"
"""The market whose feed is late."""


class Fault(StrEnum):
    """What happens."""

    UNIT = "unit"
    """Kilometres are served for miles: most answers are wrong."""
    FEATURE = "feature"
    """A feature is renamed, and so missing: some answers are wrong."""
    FEED = "feed"
    """A feed is late, and its input says so."""
    MARKET = "market"
    """The feed of one market is late, whose answers alone are wrong."""
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
    checked : whether the contract of an input is broken by the fault.
    scores_first : whether the training scores the stable version on the rows since the change before it
        fits another one; one with a command of its own may not.
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
    checked: bool
    scores_first: bool

    @property
    def is_of_data(self) -> bool:
        """Whether no training can help."""
        return self.fault in {Fault.UNIT, Fault.FEATURE, Fault.FEED, Fault.MARKET}

    @property
    def is_known(self) -> bool:
        """Whether an input says so before any training."""
        return self.checked or self.fault in {Fault.FEED, Fault.MARKET}

    @property
    def witness(self) -> str:
        """What shows that the data are wrong."""
        if self.is_known:
            return "an input"
        return "a score" if self.scores_first else "a training"

    @property
    def cause(self) -> str:
        """The cause that must be named."""
        if self.checked:
            return "InputChanged"
        return CAUSES[self.fault]

    @property
    def feature(self) -> str:
        """The begin of the text about the feature that is served wrong."""
        return (
            "most in mileage (median " if self.fault is Fault.UNIT else "most in mileage (missing "
        )

    def differences(self, dice: random.Random) -> Body:
        """Return what the library reports of features of a training's rows and of requests."""

        def row() -> Body:
            return {"mileage": 60_000 * dice.lognormvariate(0, 0.6), "age": dice.randrange(15)}

        def request() -> Body:
            features = row()
            if self.fault is Fault.UNIT:
                features["mileage"] /= 1.609
            elif self.fault in {Fault.FEATURE, Fault.BOTH}:
                features["distance"] = features.pop("mileage")
            return features

        rows = [row() for _ in range(COMPARED_ROWS)]
        requests = [LoggedRequest("/price", request()) for _ in range(COMPARED_ROWS)]
        return asdict(compare(rows, requests))

    @property
    def inputs(self) -> list[Body]:
        """`spec.inputs` of the product."""
        late = self.fault in {Fault.FEED, Fault.MARKET}
        return [LATE] * late + [CHANGED] * self.checked

    def simpler(self) -> Iterator[DataFault]:
        """Yield nothing: a life has no part that may be left out."""
        return iter(())

    def live(self) -> TrueLived:
        """Live it, and judge what was named and trained."""
        outcome, seconds, steps = run_virtually(_live(self))
        judged = {
            "another cause than the true one named": self.cause not in outcome.causes,
            "another cause named at last": outcome.causes[-1:] != (self.cause,),
        }
        if self.cause == "ServingSkew" and outcome.skew:
            judged["the feature that is served wrong not named"] = self.feature not in outcome.skew
        if self.is_of_data:
            judged["trained though the data are wrong"] = outcome.trainings > 0
            judged[f"trained though {self.witness} shows that the data are wrong"] = (
                outcome.after_report if self.witness == "a training" else outcome.trainings
            ) > 0
        else:
            judged["drift not trained for"] = not outcome.trainings
            judged["drift not healed"] = not outcome.healed
        return TrueLived((), judged, str(self.fault), seconds, steps, {}, outcome.story)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a life went.

    Attributes
    ----------
    causes : causes that the diagnosis named, in their order. trainings : how many began.
    after_report : how many of them began after one had reported. healed : whether a version serves
        that knows the drift. story : decisions and causes, a line each. skew : the last message of a
        diagnosis ServingSkew; empty without one.
    """

    causes: tuple[str, ...]
    trainings: int
    after_report: int
    healed: bool
    story: tuple[str, ...]
    skew: str


CAUSES: Final = {
    Fault.UNIT: "ServingSkew",
    Fault.FEATURE: "ServingSkew",
    Fault.BOTH: "ServingSkew",
    Fault.FEED: "InputStale",
    Fault.MARKET: "InputStale",
    Fault.DRIFT: "ModelDecay",
}


def draw_data_fault(seed: int) -> DataFault:
    """The life of a seed."""
    dice = random.Random(f"data fault {seed}")
    wrong, drop = dice.choice(((0.05, 0.02), (0.1, 0.03), (0.2, 0.05)))
    fault = dice.choice(tuple(Fault))
    worse = {
        Fault.UNIT: dice.uniform(0.5, 0.75),
        Fault.FEED: dice.uniform(3, 8) * drop,
        Fault.MARKET: dice.uniform(0.2, 0.4),
    }
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
        fault in {Fault.UNIT, Fault.FEATURE} and dice.random() < CHECKED,
        dice.random() < SCORING,
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
    skew: str = ""
    story: list[str] = field(default_factory=list)

    def share(self, digest: str, begin: float, end: float, *, live: bool) -> float:
        """The share of wrong answers of a version on rows of an interval; `live` ones have the fault."""
        life, changed = self.life, max(end - max(begin, BEGIN), 0.0) / max(end - begin, 1e-9)
        knows = self.learnt[digest] > BEGIN
        more = (0.0 if knows else life.drift) + (life.worse if live else 0.0)
        return min(life.wrong + changed * more, 0.95)

    def quality(self, wrong: float) -> Quality:
        """A version that is wrong so often now; in one market where the feed of that one is late."""
        if self.life.fault is not Fault.MARKET:
            return Quality(wrong=wrong)
        good = dict.fromkeys(MARKETS, self.life.wrong)
        return Quality.of_markets(SHARES, **{**good, MARKET: wrong})

    def update_cluster(self) -> None:
        """Let each version be as wrong as it is now."""
        now = self.world.loop.time() + 1e-3
        for digest in self.learnt:
            wrong = self.share(digest, now - 1e-3, now, live=True)
            self.world.cluster.set_quality(f"x@sha256:{digest}", self.quality(wrong))

    def train(self, job: Body) -> Training:
        """Train on what the warehouse has, and score both versions on its newest hours.

        One that scores the stable version first ends there if that is as accepted.
        """
        if self.life.scores_first and (score := self.score(trigger_of(job))):
            self.story.append(
                f"{self.world.loop.time() / HOUR:7.2f} h  scored as accepted: {score}"
            )
            return Training(seconds=self.life.training / 5, report=score)
        now, number = self.world.loop.time(), len(self.began) + 1
        self.story.append(f"{now / HOUR:7.2f} h  training {number}")
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
            "featureDifferences": self.life.differences(dice),
        }
        return Training(seconds=self.life.training, report=report)

    def score(self, trigger: Body) -> Body | None:
        """Return the score of the stable version on the rows since the change; None if it isn't as accepted."""
        share, since = trigger.get("acceptedShare"), trigger.get("changeTime")
        since = since or trigger.get("firstBadBlockTime")
        if share is None or since is None:
            return None
        wall, now = self.world.loop.wall(), self.world.loop.time()
        seconds = wall - datetime.fromisoformat(since).timestamp()
        rows = int(self.life.rows * seconds / (self.life.held_out * HOUR))
        serving = digest_of(str((self.world.status(self.key).get("stable") or {}).get("image", "")))
        wrong = self.share(serving, now - seconds, now, live=False)
        dice = random.Random(f"{self.life.seed}/score/{round(now)}")
        bad = sum(dice.random() < wrong for _ in range(rows))
        if rows < MIN_SCORED_ROWS or bad > float(share) * rows:
            return None
        counts = {"accuracy": {"bad": bad, "total": rows}}
        times = {"holdOutStartTime": since, "dataEndTime": stamp(wall)}
        differences = self.life.differences(dice)
        return {"stableEvaluation": counts, "featureDifferences": differences, **times}

    def look(self) -> None:
        """Note the cause that status names, and what was decided."""
        status, hours = self.world.status(self.key), self.world.loop.time() / HOUR
        cause = (status.get("diagnosis") or {}).get("cause", "")
        if cause and cause not in self.causes[-1:]:
            self.causes.append(cause)
        if cause == "ServingSkew":
            self.skew = status["diagnosis"]["message"]
        decision = status.get("decision") or {}
        text = f"[{cause}] {decision.get('reason')}: {decision.get('message', '')}"
        if not self.story or text not in self.story[-1]:
            self.story.append(f"{hours:7.2f} h  {text}")


def _document(life: DataFault) -> Body:
    """The product of a life."""
    body = product(analysis={"blockSeconds": life.block})
    if life.inputs:
        body["spec"]["inputs"] = life.inputs
    if life.fault is Fault.MARKET:
        body["spec"] |= {
            "markets": list(MARKETS),
            "serving": {
                "runtimeImage": RUNTIME,
                "feedback": {"secretRef": {"name": "feedback"}},
                "market": {"from": "Header", "name": "x-market"},
            },
        }
        body["spec"]["slos"][0]["markets"] = {"onMissed": "Retrain"}
    return body


async def _live(life: DataFault) -> tuple[Outcome, float, int]:
    async with World(life.seed, SETTLED, for_days=True) as world:
        body = _document(life)
        (slo,) = body["spec"]["slos"]
        slo["maxDrop"] = slo["maxRegression"] = str(life.max_drop)
        bad = {"bad": round(10_000 * life.wrong), "total": 10_000}
        body["spec"]["model"]["evaluation"] = {"accuracy": bad}
        key = world.apply(body)
        lived = _Life(life, world, key)
        world.cluster.trainers[key] = lived.train
        world.prometheus.inputs |= {"feed": 60.0, "requests": 0.0}
        lived.learnt[digest_of(image("a"))] = 0.0
        lived.update_cluster()
        world.start(**RARELY)
        await world.run(BEGIN)
        if life.fault in {Fault.FEED, Fault.MARKET}:
            world.prometheus.inputs["feed"] = 6 * HOUR
        if life.checked:
            world.prometheus.inputs["requests"] = 2.0
        lived.update_cluster()
        while world.loop.time() < BEGIN + OBSERVED_DAYS * DAY:
            await world.run(life.block)
            lived.look()
        serving = digest_of(str(world.status(key)["stable"]["image"]))
        after = sum(begun > lived.reported + 2 * life.block for begun in lived.began)
        outcome = Outcome(
            tuple(lived.causes),
            len(lived.began),
            after,
            lived.learnt[serving] > BEGIN,
            tuple(lived.story),
            lived.skew,
        )
        return outcome, world.loop.time(), world.steps
