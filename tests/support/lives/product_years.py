"""Weeks to a year of one product on the whole operator: decays at known times, and nothing else.

The truth is simple: a version is as wrong as the data it learnt from let it be, and each decay makes
all versions worse that were trained before it. So a training after a decay heals it, one before
doesn't, and while there was none the product is healthy whatever seasons and noise do.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import digest_of
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.trainings import Training, trigger_of
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import JOBS
from sluicegate.views.needs import needs_of
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, image
from tests.support.lives.judging import condition
from tests.support.lives.truth import KEY, OUTPUT, SETTLED, Course, TrueLived
from tests.support.lives.worlds import LEASES, Absence, Sky, draw_absences, draw_sky

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]

YEAR: Final = 365 * DAY
FALSE_ALARMS_A_YEAR: Final = 0.05
"""Of a healthy SLO (ADR 13)."""
MARKETS: Final = ("FR", "DE", "ES")
HOLD_OUT: Final = 4000
"""Rows that a training scores both versions on."""
BOTH_WRONG: Final = 0.6
"""Of the rows that the better version gets wrong, those that the other one does too."""
LEARNS_SECONDS: Final = 6 * HOUR
"""Of data after a decay that a training needs to have learnt it; with fewer it has learnt half."""
HEALS_SECONDS: Final = 5 * DAY
"""Within which a decay is healed where nothing delays it: its detection by labels that suffice in a
day and by days that recur, a training, and a canary."""
MIN_DROPS: Final = 2.0
"""How many times maxDrop a decay is worth."""
JUDGED_BLOCKS: Final = 2
"""After a promotion, until status has what the markets of the new version did."""
OVERDUE_SECONDS: Final = 2 * HOUR
"""After which a challenger that nothing stands in the way of must have begun."""


@dataclass(frozen=True, slots=True)
class Decay:
    """All versions that were trained before `at` are wrong in `drop` more of the cases from then on."""

    at: float
    drop: float

    def __str__(self) -> str:
        """As it is built."""
        return f"Decay({self.at:.0f}, {self.drop})"


@dataclass(frozen=True, slots=True)
class ProductYear:
    """What is lived.

    Attributes
    ----------
    days : how long. wrong : true share of wrong predictions of a version that has learnt all.
    fails : share of the trainings that fail. schedule : seconds, None without one.
    approval : seconds until a person approves; None where none has to.
    suspended : (begin, seconds) of each suspension. markets : how many are counted.
    """

    seed: int
    days: float
    block: int
    wrong: float
    max_drop: float
    rate: float
    decays: tuple[Decay, ...]
    fails: float
    training: float
    schedule: int | None
    approval: float | None
    suspended: tuple[tuple[float, float], ...]
    markets: int
    sky: Sky
    absences: tuple[Absence, ...]

    def simpler(self) -> Iterator[ProductYear]:
        """The same without a part."""
        for name in ("absences", "suspended", "decays"):
            parts = getattr(self, name)
            for number in range(len(parts)):
                yield replace(self, **{name: parts[:number] + parts[number + 1 :]})
        yield from (replace(self, sky=sky) for sky in self.sky.simpler())
        for name in ("approval", "schedule"):
            if getattr(self, name) is not None:
                yield replace(self, **{name: None})
        if self.fails:
            yield replace(self, fails=0.0)

    def live(self) -> TrueLived:
        """Live it to its end."""
        return run_virtually(_live(self))


def draw_year(seed: int, max_days: float = 365.0) -> ProductYear:
    """The product-year of a seed."""
    dice = random.Random(f"year {seed}")
    days = float(min(dice.choice((21, 28, 42, 56, 91, 182, 365)), max_days))
    block = 900 if days <= 42 else 3600
    wrong, drop = dice.choice(((0.05, 0.02), (0.1, 0.03), (0.2, 0.05), (0.3, 0.05)))
    noisy = dice.random() < 0.5
    sky = draw_sky(dice, days, noisy=noisy, max_delay=DAY)
    # Labels that suffice for maxDrop (6.2 p (1 - p) / d²) come in a quarter of a day, or in two.
    enough = 6.2 * wrong * (1 - wrong) / drop**2
    rate = enough * dice.choice((0.5, 1.0, 4.0)) / sky.known / DAY
    decays, at = [], 4.0
    while (at := at + dice.choice((1.0, 4.0, 20.0))) < days - 10 and dice.random() < 0.8:
        decays.append(
            Decay(round(at * DAY + dice.uniform(0, DAY)), round(drop * dice.choice((2, 3, 4)), 3))
        )
        at += 12.0
    suspended = [
        (round(dice.uniform(DAY, days * DAY)), dice.choice((HOUR, DAY, 4 * DAY)))
        for _ in range(dice.choice((0, 0, 1)))
    ]
    return ProductYear(
        seed,
        days,
        block,
        wrong,
        drop,
        round(rate, 4),
        tuple(decays),
        dice.choice((0.0, 0.0, 0.2)),
        dice.choice((600.0, 2 * HOUR)),
        dice.choice((None, round(2 * DAY), round(7 * DAY))),
        dice.choice((HOUR, DAY, 3 * DAY)) if dice.random() < 0.25 else None,
        tuple(suspended),
        dice.choice((0, 0, 3)),
        sky,
        draw_absences(dice, days * DAY, 2 * DAY),
    )


def document_of(year: ProductYear) -> Body:
    """The product of a year."""
    accuracy = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxDrop": str(year.max_drop),
        "onDegraded": "Retrain",
    }
    markets = {"markets": list(MARKETS[: year.markets])} if year.markets else {}
    retraining: Body = {"command": ["train"], "output": OUTPUT}
    if year.schedule:
        retraining["schedule"] = {"everySeconds": year.schedule}
    total = 20_000
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "spec": {
            "owner": "group:default/catalog",
            **markets,
            "model": {
                "bento": {"image": image("a"), "version": "v1", "service": "Search"},
                "evaluation": {"accuracy": {"bad": round(year.wrong * total), "total": total}},
            },
            "serving": {
                "runtimeImage": RUNTIME,
                "replicas": 2,
                "feedback": {"secretRef": {"name": "feedback"}},
                **({"market": {"from": "Header", "name": "x-market"}} if year.markets else {}),
            },
            "route": GATEWAY,
            "slos": [accuracy],
            "retraining": retraining,
            "analysis": {"blockSeconds": year.block},
            "rollout": {"approval": "Automatic" if year.approval is None else "Manual"},
        },
    }


@dataclass
class Year:
    """A product-year while it is lived."""

    year: ProductYear
    course: Course
    learnt: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By digest of a version: when its training began, and what it is wrong in beyond all else."""
    trainings: int = 0
    false: list[str] = field(default_factory=list)
    healed: dict[Decay, float] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    _begun: float = 0.0
    _overdue: float = 0.0
    _judged: str = ""
    _judged_since: float = 0.0

    def begin(self) -> None:
        """Give v1 its truth, and plan what changes."""
        world = self.course.world
        world.cluster.trainers[KEY] = self.train
        self.learnt[digest_of(image("a"))] = (0.0, 0.0)
        self.update_cluster()
        for decay in self.year.decays:
            world.loop.call_later(decay.at, self.decay, decay)
        for begin, seconds in self.year.suspended:
            world.loop.call_later(begin, self.suspend, True)
            world.loop.call_later(begin + seconds, self.suspend, False)

    def suspend(self, on: bool) -> None:
        """Suspend the product, or let it go on."""
        self.course.say(f"suspend: {on}")
        self.course.edit(suspend=on)

    def decay(self, one: Decay) -> None:
        """Let the world change."""
        self.course.say(f"a decay of {one.drop:.1%}")
        self.update_cluster()

    def update_cluster(self) -> None:
        """Let each version be as wrong as it is now."""
        for digest in self.learnt:
            wrong = self.truth(digest)
            by_market = dict.fromkeys(MARKETS[: self.year.markets], wrong)
            quality = Quality.of_markets(**by_market) if by_market else Quality(wrong=wrong)
            self.course.world.cluster.set_quality(f"x@sha256:{digest}", quality)

    def truth(self, digest: str, when: float | None = None) -> float:
        """The true share of wrong predictions of a version at a time; now when left out."""
        if when is None:
            when = self.course.world.loop.time()
        begun, more = self.learnt[digest]
        wrong = self.year.wrong + more
        for decay in self.year.decays:
            if decay.at <= when:
                known = begun - decay.at
                wrong += (
                    0.0 if known >= LEARNS_SECONDS else decay.drop / 2 if known > 0 else decay.drop
                )
        return min(wrong, 0.95)

    @property
    def serving(self) -> str:
        """The digest that serves; empty without one."""
        return digest_of(self.course.serving)

    # ---- trainings ----------------------------------------------------------------------------
    def train(self, job: Body) -> Training:
        """Train on what the world is now."""
        world, number = self.course.world, self.trainings + 1
        self.trainings = number
        dice, now = random.Random(f"{self.year.seed}/training {number}"), world.loop.time()
        cause = trigger_of(job).get("cause", "")
        self.causes[cause] += 1
        self.course.say(f"training {number} begins: {cause}")
        self._begun, self._overdue = now, 0.0
        if cause == "ModelDecay" and self.is_healthy(now):
            message = trigger_of(job).get("message", "")
            self.false.append(f"at {now / DAY:.1f} d: {message}")
        if dice.random() < self.year.fails:
            return Training(seconds=60.0)
        digest = sha256(f"{self.year.seed}/{number}".encode()).hexdigest()
        self.learnt[digest] = (now, 0.0)
        self.update_cluster()
        ours, theirs = self.truth(digest), self.truth(self.serving)
        return Training(
            seconds=self.year.training,
            report={
                "image": f"{OUTPUT}@sha256:{digest}",
                "version": f"t{number}",
                **scores(dice, ours, theirs),
            },
        )

    def _check_markets(self, now: float) -> None:
        """No market is missed while the product is healthy."""
        if self.serving != self._judged:
            self._judged, self._judged_since = self.serving, now
        if now - self._judged_since < JUDGED_BLOCKS * self.year.block:
            return  # status has what the version before did until the new one is judged
        if not self.year.markets or not self.is_healthy(now):
            return
        slos = self.course.status.get("slos") or ()
        missed = [
            market
            for slo in slos
            for market in slo.get("markets") or ()
            if market.get("state") == "Missed"
        ]
        name = "a market is missed though healthy"
        if missed and not self.course.judged.get(name):
            self.course.say(f"missed, and healthy: {missed}")
        self.course.judged[name] = self.course.judged.get(name, False) or bool(missed)

    def is_healthy(self, now: float) -> bool:
        """Whether no decay that serves could have been seen: also none of which labels are late."""
        if not self.serving:
            return False
        since = now - 7 * DAY - self.year.sky.latest
        recent = [decay.at for decay in self.year.decays if since <= decay.at <= now]
        moments = (now, *recent)
        return all(self.truth(self.serving, moment) <= self.year.wrong + 1e-9 for moment in moments)

    # ---- each block ---------------------------------------------------------------------------
    def look(self) -> None:
        """Check the invariants at the present time."""
        now = self.course.world.loop.time()
        if not self.serving:
            return
        for decay in self.year.decays:
            if decay.at <= now and decay not in self.healed:
                gone = self.truth(self.serving) <= self.year.wrong + 0.25 * decay.drop
                if gone:
                    self.healed[decay] = now
                    self.course.say(f"the decay of {decay.drop:.1%} is healed")
        self._check_schedule(now)
        self._check_markets(now)

    def _check_schedule(self, now: float) -> None:
        """A challenger begins when its schedule says so, unless something stands in its way."""
        period = self.year.schedule
        if period is None:
            return
        if now - self._begun < period or not self._is_free():
            self._overdue = 0.0
            return
        self._overdue += self.year.block
        if self._overdue > max(OVERDUE_SECONDS, 4 * self.year.block):
            status = self.course.status
            text = (
                f"the last training began {(now - self._begun) / DAY:.2f} d ago, one is due after"
                f" {period / DAY:.2f} d; status.retraining: {status.get('retraining')}"
            )
            self.course.safety.report("schedule", KEY, text)

    def _is_free(self) -> bool:
        """Whether nothing stands in the way of a challenger."""
        course, status = self.course, self.course.status
        retraining = status.get("retraining") or {}
        return (
            course.is_led()
            and not course.absences.is_away("prometheus")
            and not course.world.product(KEY)["spec"].get("suspend")
            and not status.get("candidate")
            and not retraining.get("trigger")
            and not retraining.get("suspended")
            and status.get("state") != "Degraded"
            and condition(status, "MetricsAvailable").get("status") == "True"
            and condition(status, "SLOMet").get("status") == "True"
        )

    # ---- the end ------------------------------------------------------------------------------
    def allowed(self, one: Decay) -> float:
        """Seconds within which a decay is to be healed."""
        year = self.year
        away = sum(each.seconds + 2 * HOUR for each in year.absences)
        paused = sum(seconds for _, seconds in year.suspended)
        silent = sum(end - begin for begin, end in year.sky.silent)
        people = 2 * (year.approval or 0.0)
        failed = 14 * DAY if year.fails else 0.0
        cooldown = DAY + 2 * (year.schedule is not None) * DAY
        blocks = 60 * year.block
        return (
            HEALS_SECONDS + year.sky.latest + away + paused + silent + people + failed + cooldown
            + blocks
        )  # fmt: skip

    def judge(self) -> None:
        """Compare what happened with the truth."""
        course, end = self.course, self.course.world.loop.time()
        course.judged["retrained though healthy"] = bool(self.false)
        course.story += [f"retrained though healthy {one}" for one in self.false]
        for number, one in enumerate(self.year.decays):
            due = one.at + self.allowed(one)
            if due > end:
                continue
            healed = self.healed.get(one, float("inf")) <= due
            course.judged["decay not healed in time"] = (
                course.judged.get("decay not healed in time", False) or not healed
            )
            if not healed and one not in self.healed:
                self._check_named(number, one)

    def _check_named(self, number: int, one: Decay) -> None:
        """A decay that isn't healed is on the object: what waits, or who is needed."""
        status = self.course.status
        retraining = status.get("retraining") or {}
        needs = needs_of(DataProduct.parse(self.course.world.product(KEY)))
        waits = retraining.get("waitingFor") or retraining.get("trigger") or status.get("candidate")
        if not needs and not waits:
            slo = (status.get("slos") or [{}])[0]
            text = (
                f"decay {number} ({one}) isn't healed, and nothing says so: {status.get('state')},"
                f" {slo.get('state')}: {slo.get('message')}; {retraining}"
            )
            self.course.safety.report("a decay without a remedy", KEY, text)


def scores(dice: random.Random, ours: float, theirs: float, rows: int = HOLD_OUT) -> Body:
    """What a training reports of both versions: rows that are drawn by their true qualities."""
    both = BOTH_WRONG * min(ours, theirs)
    weights = (both, theirs - both, ours - both, 1 - ours - theirs + both)
    names = ("bothWrong", "onlyStableWrong", "onlyCandidateWrong", "bothRight")
    counts = Counter(dice.choices(names, weights, k=rows))
    pairs = {name: counts[name] for name in names}
    bad = {
        "evaluation": pairs["bothWrong"] + pairs["onlyCandidateWrong"],
        "stableEvaluation": pairs["bothWrong"] + pairs["onlyStableWrong"],
    }
    found: Body = {
        name: {"accuracy": {"bad": number, "total": rows}} for name, number in bad.items()
    }
    return found | {"pairs": {"accuracy": pairs}}


async def _live(year: ProductYear) -> TrueLived:
    async with World(year.seed, SETTLED, for_days=True) as world:
        course = Course(world, year.block, LEASES, year.approval or 0.0)
        world.cluster.variations[KEY] = year.sky.variation(f"year {year.seed}", year.wrong)
        world.cluster.rates[KEY] = year.rate
        lived = Year(year, course)
        lived.begin()
        course.begin(document_of(year), year.absences)
        while world.loop.time() < year.days * DAY and not course.safety.found:
            await course.pass_time(year.block)
            lived.look()
        if not course.safety.found:
            lived.judge()
        found = course.lived(
            f"{lived.trainings} trainings {dict(lived.causes)}, {len(lived.healed)} of {len(year.decays)} decays healed"
        )
        jobs = sum(1 for _ in world.server.all(JOBS, KEY.namespace))
        return replace(
            found,
            checked={**found.checked, "jobs": jobs},
            promised={"retrained though healthy": FALSE_ALARMS_A_YEAR * year.days * DAY / YEAR},
        )
