"""One canary on the whole operator, of a candidate whose quality is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import digest_of
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import World
from benchmarks.virtual.variation import DAY, HOUR
from benchmarks.virtual.workloads import Quality
from tests.support.decisions.rollout_world import GATEWAY, RUNTIME, image
from tests.support.lives.goal import missing
from tests.support.lives.truth import KEY, OUTPUT, SETTLED, Course, TrueLived
from tests.support.lives.worlds import SHORT_LEASES, Absence, Sky, draw_absences, draw_sky

if TYPE_CHECKING:
    from collections.abc import Iterator

Body = dict[str, Any]

KINDS: Final = ("worse", "worse", "equal", "equal", "better", "much worse", "below")
"""Of candidates: worse by the margin, equal, better, much worse, better but below the objective."""
STABLE, CANDIDATE = image("a"), image("b")
MIN_SECONDS: Final = 4 * HOUR
"""Of a rollout whose duration follows the labels (ADR 13)."""
LABELS_OF_A_VERDICT: Final = 24.0
"""Labels of the candidate that a verdict takes, in p (1 - p) / margin²: twice what is usual."""


@dataclass(frozen=True, slots=True)
class CanaryLife:
    """What is lived.

    Attributes
    ----------
    kind : of the candidate. wrong, margin : stable's true share of wrong predictions, and the
        margin. rate : requests a second, without what varies. block : seconds.
    steps, duration : of the rollout; None where they are left out.
    approval : seconds until a person approves; None where none has to.
    warm : seconds for which stable serves before.
    """

    seed: int
    kind: str
    wrong: float
    margin: float
    rate: float
    block: int
    steps: tuple[int, ...] | None
    duration: int | None
    approval: float | None
    warm: float
    routed: bool
    replicas: int
    guarded: bool
    sky: Sky
    absences: tuple[Absence, ...]

    def simpler(self) -> Iterator[CanaryLife]:
        """Yield simpler lives, each without one of its parts."""
        for number in range(len(self.absences)):
            yield replace(self, absences=self.absences[:number] + self.absences[number + 1 :])
        yield from (replace(self, sky=sky) for sky in self.sky.simpler())
        if self.approval is not None:
            yield replace(self, approval=None)
        if self.guarded:
            yield replace(self, guarded=False)
        if not self.routed:
            yield replace(self, routed=True)

    def live(self) -> TrueLived:
        """Live it to the end of its rollout."""
        return run_virtually(_live(self))

    @property
    def candidate_wrong(self) -> float:
        """The candidate's true share of wrong predictions."""
        better = max(self.wrong / 2, self.wrong - 2 * self.margin)
        return {
            "worse": self.wrong + self.margin,
            "equal": self.wrong,
            "better": better,
            "much worse": self.wrong + 5 * self.margin,
            "below": better,
        }[self.kind]

    @property
    def objective(self) -> str | None:
        """Which neither version meets, where the candidate is to be below it."""
        return f"{1 - self.candidate_wrong / 2:.4f}" if self.kind == "below" else None


def draw_canary(seed: int) -> CanaryLife:
    """The canary of a seed."""
    dice = random.Random(f"canary {seed}")
    wrong, margin = dice.choice(((0.05, 0.015), (0.1, 0.02), (0.1, 0.03), (0.2, 0.03), (0.3, 0.05)))
    sky = draw_sky(dice, 3.0, noisy=dice.random() < 0.5, max_delay=HOUR)
    labels = LABELS_OF_A_VERDICT * wrong * (1 - wrong) / margin**2
    # A verdict at 50 % of the traffic takes from a few minutes to half a day.
    block, hours = dice.choice(((60, 0.25), (60, 0.25), (300, 1.0), (300, 2.0), (900, 8.0)))
    rate = labels / sky.known / 0.5 / (hours * HOUR)
    duration = None if dice.random() < 0.5 else round(max(6 * hours, 4.0) * HOUR)
    return CanaryLife(
        seed,
        dice.choice(KINDS),
        wrong,
        margin,
        round(rate, 3),
        block,
        None if dice.random() < 0.4 else dice.choice(((5, 25, 50), (50,), (10, 50))),
        duration,
        dice.choice((0.0, HOUR, HOUR, 8 * HOUR, 2.5 * DAY)) if dice.random() < 0.3 else None,
        dice.choice((HOUR, 3 * HOUR, 26 * HOUR)) if block > 60 else HOUR,
        dice.random() < 0.85,
        dice.choice((1, 2, 4)),
        dice.random() < 0.4,
        sky,
        draw_absences(dice, 8 * HOUR, 2 * DAY if dice.random() < 0.2 else 2 * HOUR),
    )


def document_of(life: CanaryLife) -> Body:
    """The product of a life."""
    accuracy: Body = {
        "name": "accuracy",
        "indicator": {"outcomes": {}},
        "maxRegression": str(life.margin),
        "canaryEvidence": "Required",
        "onDegraded": "Alert",
    }
    accuracy |= {"objective": life.objective} if life.objective else {"maxDrop": "0.2"}
    slos = [accuracy]
    if life.guarded:
        slos.append(
            {
                "name": "availability",
                "indicator": {"availability": {}},
                "objective": "0.95",
                "canaryEvidence": "IfAvailable",
            }
        )
    rollout: Body = {"approval": "Automatic" if life.approval is None else "Manual"}
    if life.steps is not None:
        rollout["steps"] = list(life.steps)
    if life.duration is not None:
        rollout["maxDurationSeconds"] = life.duration
    total = 20_000
    return {
        "metadata": {"namespace": KEY.namespace, "name": KEY.name},
        "spec": {
            "owner": "group:default/catalog",
            "model": {
                "bento": {"image": STABLE, "version": "v1", "service": "Search"},
                "evaluation": {"accuracy": {"bad": round(life.wrong * total), "total": total}},
            },
            "serving": {
                "runtimeImage": RUNTIME,
                "replicas": life.replicas,
                "feedback": {"secretRef": {"name": "feedback"}},
            },
            **({"route": GATEWAY} if life.routed else {}),
            "slos": slos,
            "retraining": {"command": ["train"], "output": OUTPUT},
            "analysis": {"blockSeconds": life.block},
            "rollout": rollout,
        },
    }


async def _live(life: CanaryLife) -> TrueLived:
    async with World(life.seed, SETTLED, for_days=True) as world:
        course = Course(world, life.block, SHORT_LEASES, life.approval or 0.0)
        least = min(life.wrong, life.candidate_wrong)
        world.cluster.variations[KEY] = life.sky.variation(f"canary {life.seed}", least)
        world.cluster.rates[KEY] = life.rate
        world.cluster.set_quality(STABLE, Quality(wrong=life.wrong))
        world.cluster.set_quality(CANDIDATE, Quality(wrong=life.candidate_wrong))
        course.begin(document_of(life), ())
        await course.pass_time(600, lambda: bool(course.serving))
        await course.pass_time(life.warm)
        course.absences.plan(life.absences)
        course.say("v2 is pushed")
        bento = {"image": CANDIDATE, "version": "v2", "service": "Search"}
        course.edit(model={"bento": bento, "evaluation": None})
        ended = await _until_it_ends(life, course)
        if course.safety.found:
            return course.lived("failed")
        if not ended:
            course.safety.report(
                "no end", KEY, f"after {_patience(life, course):.0f} s: {_said(course)}"
            )
            return course.lived("no end")
        outcome = _outcome(course)
        course.say(f"it ends: {outcome}")
        await course.pass_time(6 * life.block)
        _judge(life, course, outcome)
        return course.lived(outcome)


async def _until_it_ends(life: CanaryLife, course: Course) -> bool:
    """Let time pass until the rollout of v2 has ended; say whether it did in its time."""
    begun = course.world.loop.time()
    while course.world.loop.time() - begun < _patience(life, course):
        if await course.pass_time(12 * life.block, lambda: _has_ended(course)):
            return True
        if course.safety.found:
            return False
    return False


def _patience(life: CanaryLife, course: Course) -> float:
    """Seconds within which the rollout must end: its own, and what counts against no one."""
    derived = ((course.status.get("candidate") or {}).get("derived") or {}).get(
        "maxDurationSeconds"
    )
    own = life.duration or derived or 14 * DAY
    absent = sum(absence.seconds + 2 * HOUR for absence in life.absences)
    silent = sum(end - begin for begin, end in life.sky.silent)
    return float(1.2 * own + absent + silent + course.approval_seconds + MIN_SECONDS)


def _has_ended(course: Course) -> bool:
    status = course.status
    model = status.get("specModel") or {}
    of_candidate = digest_of(model.get("image", "")) == digest_of(CANDIDATE)
    candidate = status.get("candidate") or {}
    over = not candidate or candidate.get("phase") == "Parked"
    return of_candidate and over and model.get("outcome") != "InProgress"


def _outcome(course: Course) -> str:
    """How the rollout ended, by the stable version and by the reason of the decision."""
    if digest_of(course.serving) == digest_of(CANDIDATE):
        return "Promoted"
    model = course.status.get("specModel") or {}
    return f"{model.get('outcome')} {model.get('reason', '')}".strip()


def _said(course: Course) -> str:
    status = course.status
    candidate = status.get("candidate") or {}
    decision = status.get("decision") or {}
    return (
        f"phase {candidate.get('phase')} at {candidate.get('weight')} %, {status.get('specModel')},"
        f" {decision.get('type')} {decision.get('reason')}: {decision.get('message')}"
    )


def _judge(life: CanaryLife, course: Course, outcome: str) -> None:
    """Compare the outcome with the truth."""
    promoted, against = outcome == "Promoted", outcome.startswith("RolledBack")
    judged = course.judged
    if life.kind == "worse":
        judged["promoted though worse by the margin"] = promoted
    elif life.kind == "much worse" and promoted:
        text = f"{life.candidate_wrong:.3f} are wrong instead of {life.wrong:.3f}: {_said(course)}"
        course.safety.report("a much worse version serves", KEY, text)
    elif life.kind == "equal":
        judged["rolled back though equal"] = against
        judged["not promoted though equal"] = not promoted
    elif life.kind == "better":
        judged["not promoted though better"] = not promoted
    elif life.kind == "below":
        judged["not promoted though better, below the objective"] = not promoted
    if not promoted:
        lacks = missing(course.world, KEY)
        lacks = [one for one in lacks if "Ready" not in one]
        if lacks:
            course.safety.report("goal not reached", KEY, "; ".join(lacks))
