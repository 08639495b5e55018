"""One life: products, steps, and what was found while they were lived."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.admission import Refused
from benchmarks.virtual.cluster import bento_of, digest_of
from benchmarks.virtual.event_loop import run_virtually
from benchmarks.virtual.operator import SETTINGS, World
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, Key
from sluicegate.manifests.shadow import CANDIDATE, STABLE
from tests.support.decisions.rollout_world import image
from tests.support.lives import faults
from tests.support.lives.edits import corrected_spec, with_details
from tests.support.lives.goal import REQUESTS_PER_SECOND, is_judged, missing, unproven
from tests.support.lives.known import KNOWN, Known
from tests.support.lives.phases import Traps, cells
from tests.support.lives.products import (
    BLOCK,
    MAX_DURATION,
    OUTPUT,
    bento,
    draw_product,
    slowed,
)
from tests.support.lives.promises import IDLE_WRITES, Promises
from tests.support.lives.reach import Reach
from tests.support.lives.safety import Safety, Violation
from tests.support.lives.steps import KINDS, QUALITIES, Step, draw_step

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from benchmarks.virtual.operator import Replica
    from sluicegate.settings import Settings

Body = dict[str, Any]

GOAL_BLOCKS: Final = MAX_DURATION // BLOCK + 150
"""Blocks within which each product is at its goal once all faults are removed: one rollout
without a verdict, its rollback, and what follows it."""
APPROVAL_SECONDS: Final = 2100
"""After which a person checks whether a candidate waits for approval."""
LONG_APPROVAL_SECONDS: Final = 2 * 86_400 + 3600
"""The same where approvals wait over a weekend."""
LOOKS: Final = 3
"""Looks in a row that find all at their goal, some blocks apart."""
SLOW_EVERY: Final = 5
SLOW_PACE: Final = 15
"""Of so many lives, one has blocks that are so much longer."""
TRAPS: Final = 12
"""Edits and requests of a product that wait for a phase."""
PRIME: Final = 101
"""By which neighbours of the list of phases and edits are apart in a life."""
NEVER_PUSHED: Final = "9"
"""The digest of a version that no step pushes, and so none made anything of."""
LEASES: Final[Body] = {
    "lease_duration_seconds": 180, "lease_renew_seconds": 120, "lease_retry_seconds": 30,
}  # fmt: skip
"""Renewals are most of what happens in an hour; fewer of them let more lives be lived."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is lived: a seed for all that is drawn on the way, products, and steps.

    A wide life draws from all of the spec, from long absences and from faults that last, and is held
    to the rules of promises.py too.
    """

    seed: int
    products: tuple[Body, ...]
    steps: tuple[Step, ...]
    wide: bool = False

    def __str__(self) -> str:
        """As a list that a person reads."""
        lines = [f"seed {self.seed}{', wide' * self.wide}"]
        lines += [f"  {number}: {one}" for number, one in enumerate(self.products)]
        lines += [f"    {step}," for step in self.steps]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Lived:
    """How a life went.

    Attributes
    ----------
    violations : that aren't known. known : those that are. steps : how many reconciles there were.
    mirrored : rows of mirrored requests that became evidence. reached : rows of the table of what
        lives reach, by their numbers.
    """

    violations: tuple[Violation, ...]
    known: tuple[Violation, ...]
    steps: int
    mirrored: int
    reached: tuple[int, ...]


def draw_life(
    seed: int, *, length: int = 40, without: Collection[str] = (), wide: bool = False
) -> Life:
    """The life of a seed; kinds of steps may be left out."""
    dice = random.Random(seed)
    products = tuple(
        draw_product(dice, number, wide=wide) for number in range(dice.choice((1, 2, 3, 4)))
    )
    allowed = (name for name, one in KINDS.items() if wide or not one.wide)
    kinds = tuple(name for name in allowed if name not in without)
    steps = tuple(draw_step(dice, len(products), kinds) for _ in range(length))
    if not wide:
        return Life(seed, products, steps)
    if seed % SLOW_EVERY == 0:
        products = tuple(slowed(product, SLOW_PACE) for product in products)
    detailed = tuple(
        with_details(one, random.Random(f"details {seed} {number}"))
        for number, one in enumerate(products)
    )
    traps = _draw_traps(seed, len(products)) if length else ()
    return Life(seed, detailed, (*traps, *steps), wide=True)


def _draw_traps(seed: int, products: int) -> Iterator[Step]:
    """What people do in which phase: all that there is, in turn, over the lives of a run."""
    for place in range(TRAPS * products):
        number = seed * 4 * TRAPS + place
        yield Step(0, "in_phase", (place % products, *cells()[number * PRIME % len(cells())]))


def live(life: Life, known: Sequence[Known] = KNOWN) -> Lived:
    """Live a life to its end, or until something happens that isn't known."""
    return run_virtually(_live(life, known))


async def _live(life: Life, known: Sequence[Known]) -> Lived:
    async with World(life.seed, _settings(life), for_days=pace_of(life) > 1) as world:
        living = Living(world, known, wide=life.wide)
        living.begin(life.products)
        for number, step in enumerate(life.steps, start=1):
            await world.run((step.pause + living.rests) * pace_of(life))
            if living.is_over():
                break
            living.rests = 0
            living.number = living.safety.step = number
            if step.args and isinstance(step.args[0], int) and step.kind not in _NO_PRODUCT:
                if step.args[0] >= len(living.keys):
                    continue
                living.after_decision.setdefault(str(living.keys[step.args[0]]), set()).add(
                    step.kind
                )
            else:
                living.after_decision.setdefault("", set()).add(step.kind)
            living.reach.step(step.kind)
            KINDS[step.kind].do(living, *step.args)
        await world.run(living.rests * pace_of(life))
        if not living.is_over():
            living.end_faults()
            await living.reach_goals(missing)
            living.push()
            await living.reach_goals(unproven)
        reached = tuple(living.reach.numbers)
        return Lived(*living.told(), world.steps, living.safety.mirrors.rows, reached)


def pace_of(life: Life) -> int:
    """How much slower all goes than with blocks of a minute: weeks pass in some lives, at the same cost."""
    return (
        max(int(product["spec"]["analysis"]["blockSeconds"]) for product in life.products) // BLOCK
    )


def is_blind(life: Life) -> bool:
    """Whether its operator has no Prometheus, as the chart's default has none: one of twenty."""
    return life.seed % 20 == 0


def _settings(life: Life) -> Settings:
    return SETTINGS.model_copy(update={"prometheus_url": ""}) if is_blind(life) else SETTINGS


_NO_PRODUCT: Final = frozenset(
    {"quota", "gateway_refuses", "gap", "clock", "rest", "another_operator", *faults.OF_ALL}
)


def _report(digit: str, version: str, repository: str = OUTPUT) -> Body:
    """What a training reports of a version that is better on its hold-out."""
    return {
        "image": f"{repository}@sha256:{digit * 64}",
        "version": version,
        "evaluation": {"accuracy": {"bad": 1000, "total": 10_000}},
        "stableEvaluation": {"accuracy": {"bad": 4000, "total": 10_000}},
    }


@dataclass
class Living:
    """A life while it is lived; steps act through it."""

    world: World
    known: Sequence[Known]
    wide: bool = False
    keys: list[Key] = field(default_factory=list)
    number: int = 0
    rests: int = 0
    faults_ended: bool = False
    after_decision: dict[str, set[str]] = field(default_factory=dict)
    """Kinds of steps that were carried out, by product."""
    others: list[Replica] = field(default_factory=list)
    """Replicas of other releases of the operator."""
    arrive: Callable[[], None] = lambda: None
    """Starts the replica that is awaited while none runs."""
    trainings: dict[Key, str] = field(default_factory=dict)
    """How trainings of a product go."""
    approvals: float = APPROVAL_SECONDS
    _gone: list[Callable[[], None]] = field(default_factory=list)
    """What creates each product again that was deleted."""
    _faults: int = 0
    _trained: int = 0
    _left: int = 0

    def __post_init__(self) -> None:
        """Watch what happens."""
        self.safety = Safety(self.world)
        self.reach = Reach(self.world)
        self.traps = Traps(self)
        self.promises = Promises(self.world, self.safety.report, self.keys)
        if self.wide:
            self.promises.begin()

    def begin(self, products: Sequence[Body]) -> None:
        """Create the products, and start a replica or two."""
        if self.wide:
            self.world.cluster.add_gateway("internal")
        for document in products:
            key = self.world.apply(document)
            self.keys.append(key)
            self.safety.touch(key)
            self.world.cluster.trainers[key] = partial(self.trained, key)
            self.world.cluster.shadows[key] = self.scored
        for _ in range(self.world.dice.choice((1, 1, 1, 2))):
            self.world.start(**LEASES)
        if self.wide and self.world.dice.random() < 0.15:
            self.approvals = LONG_APPROVAL_SECONDS
        self.later(self.approvals, self.approve_all)

    def trained(self, key: Key, job: Body) -> Training:
        """How a training goes: each has a new version, which is better on its hold-out."""
        if not self.wide:
            return Training(seconds=120, report=_report("c", "vc"))
        self._trained += 1
        how = "good" if self.faults_ended else self.trainings.get(key, "good")
        digit, version = "012345678"[self._trained % 9], f"vt{self._trained}"
        repository = "registry.example/elsewhere" if how == "elsewhere" else OUTPUT
        report = _report(digit, "va" if how == "reused" else version, repository)
        if how == "worse":
            report["evaluation"]["accuracy"]["bad"] = 5000
        if how == "pairs":
            pairs = {"onlyStableWrong": 3500, "onlyCandidateWrong": 500, "bothWrong": 500}
            report["pairs"] = {"accuracy": pairs | {"bothRight": 5500}}
        del job
        seconds = 20_000 if how == "slow" else 120
        return Training(seconds=seconds, report=None if how == "fails" else report)

    def scored(self, job: Body) -> Training:
        """What a Job of a shadow phase reports of two versions that are as good as their requests say."""
        pod, rows = job["spec"]["template"]["spec"], 500
        known = {
            volume["name"]: digest_of(volume["image"]["reference"])
            for volume in pod["volumes"]
            if "image" in volume
        }
        known |= {  # an archive is fetched: its address, its checksum, where to
            init_container["volumeMounts"][0]["name"]: init_container["command"][-2]
            for init_container in pod.get("initContainers") or ()
        }
        stable, candidate = (
            self.world.cluster.qualities.get(known[name], Quality()).wrong
            for name in (STABLE.volume, CANDIDATE.volume)
        )
        alone = [
            round(rows * (0.05 + max(worse, 0.0)))
            for worse in (stable - candidate, candidate - stable)
        ]
        both = round(rows * min(stable, candidate) / 2)
        pairs = {
            "onlyStableWrong": alone[0],
            "onlyCandidateWrong": alone[1],
            "bothWrong": both,
            "bothRight": max(rows - sum(alone) - both, 0),
        }
        return Training(seconds=30, report={"pairs": {"accuracy": pairs}})

    # ---- what steps use -----------------------------------------------------------------------
    def spec(self, product: int) -> Body:
        """The spec of a product as it is stored; its first one while it is gone."""
        body = self.world.server.find(DATA_PRODUCTS, self.keys[product])
        return {"model": {"bento": {"version": "va"}}} if body is None else dict(body["spec"])

    def edit(self, product: int, **spec: Any) -> None:
        """Change a spec as kubectl does; what admission refuses stays as it was."""
        key = self.keys[product]
        self.safety.touch(key)
        try:
            self.world.edit(key, **spec)
        except Refused as refusal:
            if refusal.status not in (404, 422):
                raise
        self.safety.touch(key)

    def annotate(self, product: int, name: str, value: str) -> None:
        """Ask for something."""
        key = self.keys[product]
        self.safety.touch(key)
        self.safety.asked[key] = self.world.loop.time()
        if name == names.REQUEST_PROMOTE:
            self.safety.approved[key] = self.world.loop.time()
        if self.world.server.find(DATA_PRODUCTS, key) is not None:
            self.world.annotate(key, **{name: value})

    def correct(self, product: int) -> None:
        """Let people correct a product at the end."""
        spec = self.spec(product)
        if self.wide and "analysis" in spec:
            self.edit(product, **corrected_spec(spec, product))
        elif spec.get("suspend"):
            self.edit(product, suspend=False)

    def revert(self, product: int, bento: Body) -> None:
        """Name a bento in the spec again, unless people correct everything before."""
        if not self.faults_ended:
            fields = dict.fromkeys(self.spec(product)["model"]["bento"])
            self.edit(product, model={"bento": fields | bento, "evaluation": None})

    def ask_later(self, seconds: float, product: int, name: str, value: str) -> None:
        """Ask for something after a while, unless people correct everything before.

        Else a person's wish for another version would come after the one that is to serve.
        """

        def ask() -> None:
            if not self.faults_ended:
                self.annotate(product, name, value)

        self.later(seconds, ask)

    def approve(self, product: int) -> None:
        """Promote the candidate that waits for a person, unless that is requested already."""
        body = self.world.server.find(DATA_PRODUCTS, self.keys[product]) or {}
        status = body.get("status") or {}
        candidate = status.get("candidate") or {}
        asked = ((body.get("metadata") or {}).get("annotations") or {}).get(names.REQUEST_PROMOTE)
        handled = (status.get("lastHandled") or {}).get("promote")
        if candidate.get("phase") == "AwaitingApproval" and asked == handled:
            token = f"{candidate['version']}/at-{self.world.loop.time():.0f}"
            self.annotate(product, names.REQUEST_PROMOTE, token)

    def approve_all(self) -> None:
        """Promote what waits, and look again in a while: who approves isn't always there."""
        for product in range(len(self.keys)):
            self.approve(product)
        self.later(self.approvals, self.approve_all)

    def touch(self, product: int) -> None:
        """Record that a person changed something of a product."""
        self.safety.touch(self.keys[product])

    def deployments(self, product: int) -> list[Key]:
        """The Deployments of a product."""
        key = self.keys[product]
        found = (
            deployment["metadata"]
            for deployment in self.world.server.all(DEPLOYMENTS, key.namespace)
        )
        return [
            Key(meta["namespace"], meta["name"])
            for meta in found
            if any(owner["name"] == key.name for owner in meta.get("ownerReferences") or ())
        ]

    def namespaces(self) -> set[str]:
        """The namespaces of all products."""
        return {key.namespace for key in self.keys}

    def recreate(
        self, product: int, *, seconds: float = 5, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Delete a product; it is applied again after so many seconds."""
        key = self.keys[product]
        body = self.world.server.find(DATA_PRODUCTS, key)
        if body is None:
            return
        self.touch(product)
        self.world.server.delete(DATA_PRODUCTS, key)
        document = {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "annotations": dict(annotations or {}),
            },
            "spec": body["spec"],
        }

        def apply() -> None:
            if self.world.server.find(DATA_PRODUCTS, key) is not None:
                return
            self.world.apply(document)
            if annotations:
                self.safety.asked[key] = self.world.loop.time()
            self.touch(product)
            if self.faults_ended:
                self.correct(product)  # as the others were

        self._gone.append(apply)
        self.later(seconds, apply)

    def crash(self, bento: str) -> None:
        """Let the pods of a bento crash now."""
        for body in list(self.world.server.all(DEPLOYMENTS)):
            if digest_of(bento_of(body)) == digest_of(bento):
                meta = body["metadata"]
                self.world.cluster.workloads.fail(Key(meta["namespace"], meta["name"]))

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a while."""
        self.world.loop.call_later(seconds, what)

    def unless_corrected(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a while, unless people correct everything before."""

        def act() -> None:
            if not self.faults_ended:
                what()

        self.later(seconds, act)

    def distort_metrics(self, lie: Lie, seconds: int) -> None:
        """Let Prometheus lie to every query for a while."""
        self.world.prometheus.lies[""] = lie
        if self.safety.blind_since is None:
            self.safety.blind_since = self.world.loop.time()
        self.later(seconds, self.see)

    def see(self) -> None:
        """Let Prometheus answer again."""
        self.world.prometheus.lies.clear()
        self.safety.blind_since = None

    def fail_api(self, judge: Any, seconds: int, *, watches: bool) -> None:
        """Let requests fail for a while."""
        self._faults += 1
        name = f"fault {self._faults}"
        self.world.network.faults[name] = judge
        if watches:
            self.world.network.watch_faults[name] = judge
            self.end_watches(compact=False)

        def restore() -> None:
            self.world.network.faults.pop(name, None)
            self.world.network.watch_faults.pop(name, None)

        self.later(seconds, restore)

    def end_watches(self, *, compact: bool = True) -> None:
        """End all watches; those that go on where they were are too old."""
        if compact:
            self.world.server.compact()
        for stream in self.world.server.streams():
            stream.close()

    def replace_leader(self, *, kill: bool) -> None:
        """End the leader, and start another replica in its stead."""
        leader = self.world.leader()
        if leader is None:
            return
        if kill:
            leader.kill()
        else:
            leader.operator.stop.set()
        self.world.start(**LEASES).skew = leader.skew

    def leave(self, seconds: int) -> None:
        """End all replicas of the first release; one is started after so many seconds."""
        self._left += 1
        skew = next((replica.skew for replica in self.world.replicas if not replica.is_gone), 0.0)
        for replica in self.world.replicas:
            if not replica.is_gone and replica not in self.others:
                replica.kill()
        left = self._left

        def arrive() -> None:
            if left == self._left:
                self._left += 1
                self.world.start(**LEASES).skew = 0.0 if self.faults_ended else skew

        self.arrive = arrive
        self.later(seconds, arrive)

    def skew(self, seconds: float) -> None:
        """Move the wall clocks of all replicas, unless people corrected everything before."""
        if not self.faults_ended:
            for replica in self.world.replicas:
                replica.skew += seconds

    def poison(self, product: int, seconds: int) -> None:
        """Let queries about a product, or about all of its namespace, be refused for a while."""
        name = self.keys[product].name

        def judge(_: str, form: Mapping[str, str]) -> Lie | None:
            excluded = re.search(rf'product!~"[^"]*{name}', form["query"])
            chosen = re.findall(r'product=~?"([^"]*)"', form["query"])
            hit = not excluded and (not chosen or any(name in one for one in chosen))
            return Lie.REJECTED_422 if hit else None

        def end() -> None:
            self.world.prometheus.poison = None

        self.world.prometheus.poison = judge
        self.later(seconds, end)

    def install_another(self, seconds: int) -> None:
        """Start an operator with a Lease of its own; it is uninstalled after so many seconds."""
        lease = f"another-{len(self.world.replicas)}"
        self.others.append(self.world.start(**LEASES, lease_name=lease))
        self.later(seconds, self.others[-1].operator.stop.set)

    def lift_quota(self) -> None:
        """Let pods be made again."""
        self.world.cluster.workloads.quota.clear()

    def told(self) -> tuple[tuple[Violation, ...], tuple[Violation, ...]]:
        """What was found: what isn't known, and what is.

        What happens to a product after something that is known follows from that.
        """
        fresh, known, over = [], [], set()
        for one in self.safety.found:
            after_decision = self.after_decision.get(one.product, set()) | self.after_decision.get(
                "", set()
            )
            if one.product in over or any(each.covers(one, after_decision) for each in self.known):
                known.append(one)
                over |= {one.product} if one.product else set()
            else:
                fresh.append(one)
        return tuple(fresh), tuple(known)

    def told_of(self, key: Key) -> bool:
        """Whether something that is known happened to a product."""
        return any(one.product == str(key) for one in self.told()[1])

    def is_over(self) -> bool:
        """Whether nothing more is to be found out."""
        fresh, known = self.told()
        seen = {one.name for one in known}
        return bool(fresh) or any(one.ends and one.name in seen for one in self.known)

    # ---- the end ------------------------------------------------------------------------------
    def end_faults(self) -> None:
        """Remove all faults, and set each spec to the stable version."""
        self.faults_ended = True
        self.world.network.faults.clear()
        self.world.network.watch_faults.clear()
        self.see()
        self.world.prometheus.poison = None
        self.world.prometheus.retention = None
        self.world.cluster.refuse_routes_of()
        if self.wide:
            self._end_wide_faults()
        self.lift_quota()
        self.end_watches()
        for other in self.others:
            other.operator.stop.set()
        for replica in self.world.replicas:
            replica.skew = 0.0
        for digit in f"abcdef{NEVER_PUSHED}":
            self.world.cluster.set_quality(image(digit), QUALITIES["good"])
        self.world.cluster.set_accepts(accepts=True)
        for number, key in enumerate(self.keys):
            self.world.cluster.set_rate(key, REQUESTS_PER_SECOND)
            self.world.cluster.load.pop(key, None)
            self.correct(number)

    def _end_wide_faults(self) -> None:
        """End what lasts in a wide life."""
        for name in ("web", "internal"):
            self.world.cluster.add_gateway(name)
        self.arrive()
        for apply in self._gone:
            apply()
        self.approvals = APPROVAL_SECONDS
        self.approve_all()

    def push(self) -> None:
        """Push a good version to each product that can be judged: one that no step has pushed.

        A version that was rejected while it was bad stays rejected under any name.
        """
        if self.is_over() or not self.world.settings.prometheus_url:
            return
        for number, key in enumerate(self.keys):
            if is_judged(self.spec(number)) and not self.told_of(key):
                name = f"pushed-{self.world.loop.time():.0f}"
                self.edit(number, model={"bento": bento(NEVER_PUSHED, name)})

    def _check_idle(self, written: Counter[Key]) -> None:
        """Report products at their goal whose status was written in the last blocks again and again."""
        for key, times in written.items():
            if times > IDLE_WRITES:
                self.safety.report("idle writes", key, f"{times} writes of its status in 3 blocks")

    async def reach_goals(self, lacking: Callable[[World, Key], list[str]]) -> None:
        """Let time pass until each product is at its goal; who isn't in time is a violation."""
        well, left, before = 0, {}, self.promises.writes.copy()
        block = max(
            self.spec(number)["analysis"]["blockSeconds"] for number in range(len(self.keys))
        )
        for _ in range(GOAL_BLOCKS // 3):
            await self.world.run(3 * block)
            over = {one.product for one in self.told()[1]}
            left = {
                key: lacks
                for key in self.keys
                if str(key) not in over and (lacks := lacking(self.world, key))
            }
            well = 0 if left else well + 1
            written = self.promises.writes - before
            before = self.promises.writes.copy()
            if well >= LOOKS:
                if self.wide:
                    self._check_idle(written)
                return
        for key, lacks in left.items():
            self.safety.report("goal not reached", key, "; ".join(lacks))
