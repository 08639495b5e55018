"""What may happen: a step is a value, which is drawn, carried out, printed and left out alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.admission import Refused
from benchmarks.virtual.network import NetworkFault
from benchmarks.virtual.workloads import Quality
from sluicegate.api import names
from sluicegate.kube.resources import DATA_PRODUCTS, DEPLOYMENTS, HTTP_ROUTES
from tests.support.decisions.rollout_world import image
from tests.support.lives.edits import draw_edit, invalid_edit, other_bento
from tests.support.lives.products import BLOCK, STEPS, bento, draw_shadow, draw_slos, route

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.support.lives.life import Living

DIGITS: Final = "abcdef"
QUALITIES: Final = {
    "good": Quality(),
    "wrong": Quality(wrong=0.4),
    "failing": Quality(failed=0.3),
    "slow": Quality(slow=0.6),
    "on a busy node": Quality(slow=0.6, waited=0.5),
    "crashes": Quality(problem="CrashLoopBackOff"),
    "no image": Quality(problem="ImagePullBackOff"),
    "starts slowly": Quality(start=120.0),
}
LIES: Final = (
    Lie.REFUSED, Lie.HANGS, Lie.ERROR_503, Lie.BUSY_429, Lie.PARTIAL, Lie.NOT_JSON,
    Lie.REJECTED_422,
)  # fmt: skip
REQUESTS: Final = (
    names.REQUEST_PROMOTE, names.REQUEST_ABORT, names.REQUEST_RETRAIN, names.REQUEST_ROLLBACK,
)  # fmt: skip
MIRROR: Final = "mirror.example/bentos/search"
WRITES: Final = ("deployments", "services", "httproutes", "jobs", "dataproducts")


@dataclass(frozen=True, slots=True)
class Step:
    """What happens, so many seconds after the step before."""

    pause: int
    kind: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """As a line that a person reads, and that builds the step again."""
        return f"Step({self.pause}, {self.kind!r}, {self.args!r})"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of step: how often it comes, what it may be of, what it does, whether only wide lives have it."""

    weight: int
    draw: Callable[[random.Random, int], tuple[Any, ...]]
    do: Callable[..., None]
    wide: bool = False


KINDS: Final[dict[str, Kind]] = {}


def _one(dice: random.Random, products: int) -> tuple[Any, ...]:
    return (dice.randrange(products),)


def kind(
    weight: int,
    draw: Callable[[random.Random, int], tuple[Any, ...]] = _one,
    *,
    wide: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function a kind of step, with the weight at which it is drawn and its arguments."""

    def register(do: Callable[..., None]) -> Callable[..., None]:
        KINDS[do.__name__] = Kind(weight, draw, do, wide)
        return do

    return register


def draw_step(dice: random.Random, products: int, kinds: tuple[str, ...] | None = None) -> Step:
    """Any step."""
    allowed = list(kinds or KINDS)
    kind = dice.choices(allowed, [KINDS[name].weight for name in allowed])[0]
    pause = dice.choice((0, 1, 5, 20, 60, 60, 180, 300, 600, 1200, 3600))
    return Step(pause, kind, KINDS[kind].draw(dice, products))


def with_choice(*choices: Any) -> Callable[[random.Random, int], tuple[Any, ...]]:
    """Draw a product, and one of these."""
    return lambda dice, products: (dice.randrange(products), dice.choice(choices))


# ---- what people do -----------------------------------------------------------------------------
@kind(16, with_choice(*DIGITS))
def push(life: Living, product: int, digit: str) -> None:
    """Let the spec name another bento."""
    life.edit(product, model={"bento": bento(digit), "evaluation": None})


@kind(2)
def rename(life: Living, product: int) -> None:
    """Give the same digest another version name, as a tag that was moved."""
    spec = life.spec(product)
    one = spec["model"]["bento"]
    life.edit(product, model={"bento": {**one, "version": one["version"] + ".1"}})


@kind(1)
def move(life: Living, product: int) -> None:
    """Take the same bento from another registry."""
    one = life.spec(product)["model"]["bento"]
    path, _, digest = one.get("image", "").partition("@")
    if not digest:
        return
    other = MIRROR if path != MIRROR else image(DIGITS[0]).partition("@")[0]
    life.edit(product, model={"bento": {**one, "image": f"{other}@{digest}"}})


@kind(1, with_choice(*DIGITS))
def reuse(life: Living, product: int, digit: str) -> None:
    """Give another digest the version name of this one."""
    name = life.spec(product)["model"]["bento"]["version"]
    life.edit(product, model={"bento": bento(digit, name)})


@kind(2, with_choice(*"de"))
def runtime(life: Living, product: int, digit: str) -> None:
    """Serve with another runtime image."""
    life.edit(product, serving={"runtimeImage": f"registry.example/runtime@sha256:{digit * 64}"})


@kind(3, with_choice(*STEPS))
def steps(life: Living, product: int, shares: tuple[int, ...]) -> None:
    """Edit the steps of the rollout."""
    life.edit(product, rollout={"steps": list(shares)})


@kind(3, lambda dice, products: (dice.randrange(products), dice.randrange(10_000)))
def shadow(life: Living, product: int, seed: int) -> None:
    """Score both versions in another way, or no longer."""
    import random  # the draw is repeated from its seed

    dice = random.Random(seed)
    drawn = {"command": None, "mirror": None, **draw_shadow(dice)}
    life.edit(product, rollout={"shadow": drawn if dice.random() < 0.7 else None})


@kind(2)
def toggle_route(life: Living, product: int) -> None:
    """Take the route away, or give one."""
    life.edit(product, route=None if life.spec(product).get("route") else route(product))


@kind(2, with_choice(True, False))
def suspend(life: Living, product: int, on: bool) -> None:
    """Suspend a product, or let it go on."""
    life.edit(product, suspend=on)


@kind(3, with_choice(1, 2, 3, 5))
def replicas(life: Living, product: int, count: int) -> None:
    """Ask for another number of pods."""
    life.edit(product, serving={"replicas": count, "autoscaling": None})


@kind(2, with_choice(2, 5, 8))
def load(life: Living, product: int, pods: int) -> None:
    """Let a product's autoscaler find so many pods right."""
    life.world.cluster.load[life.keys[product]] = pods


@kind(1)
def autoscale(life: Living, product: int) -> None:
    """Let an autoscaler size the product."""
    scaling = {"minReplicas": 2, "maxReplicas": 8}
    life.edit(product, serving={"replicas": None, "autoscaling": scaling})


@kind(3, with_choice("1", "2", "3"))
def environment(life: Living, product: int, value: str) -> None:
    """Give the pods a variable."""
    life.edit(product, serving={"env": [{"name": "LEVEL", "value": value}]})


@kind(2, lambda dice, products: (dice.randrange(products), dice.randrange(10_000)))
def slos(life: Living, product: int, seed: int) -> None:
    """Ask for other SLOs."""
    import random  # the draw is repeated from its seed

    life.edit(
        product, model={"evaluation": None}, slos=draw_slos(random.Random(seed), wide=life.wide)
    )


@kind(
    6,
    with_choice(*REQUESTS),
)
def ask(life: Living, product: int, request: str) -> None:
    """Ask for something by annotation."""
    token = f"token-{life.number}"
    text = f"va/{token}" if request == names.REQUEST_ROLLBACK else token
    life.annotate(product, request, text)


@kind(
    6,
    lambda dice, products: (
        dice.randrange(products),
        dice.choice(DIGITS),
        dice.choice(REQUESTS),
        dice.choice((1, 9, 12, 40, 100, 200, 400, 800, 1500, 2500, 7300)),
    ),
)
def interfere(life: Living, product: int, digit: str, request: str, seconds: int) -> None:
    """Let the spec name another bento, and ask for something while its rollout is at any place."""
    push(life, product, digit)
    token = f"token-{life.number}-later"
    named = {names.REQUEST_ROLLBACK: f"va/{token}", names.REQUEST_PROMOTE: f"v{digit}/{token}"}
    life.ask_later(seconds, product, request, named.get(request, token))


@kind(1)
def delete(life: Living, product: int) -> None:
    """Delete a product, and create it again a moment later."""
    life.recreate(product)


@kind(1)
def lose_status(life: Living, product: int) -> None:
    """Let a restore without status bring a product back."""
    life.touch(product)
    life.world.server.set_status(DATA_PRODUCTS, life.keys[product], {})


@kind(1)
def unlabel(life: Living, product: int) -> None:
    """Take our label off a Deployment."""
    life.touch(product)
    for key in life.deployments(product)[:1]:
        change = {"metadata": {"labels": {names.LABEL_PRODUCT: None}}}
        life.world.server.write(DEPLOYMENTS, key, change)


@kind(1, with_choice(0, 1, 7))
def scale_by_hand(life: Living, product: int, count: int) -> None:
    """Scale a Deployment with kubectl."""
    life.touch(product)
    for key in life.deployments(product)[:1]:
        life.world.server.write(DEPLOYMENTS, key, {"spec": {"replicas": count}})


@kind(1)
def delete_child(life: Living, product: int) -> None:
    """Delete a Deployment with kubectl."""
    life.touch(product)
    for key in life.deployments(product)[-1:]:
        life.world.server.delete(DEPLOYMENTS, key)


@kind(1)
def delete_route(life: Living, product: int) -> None:
    """Delete the route with kubectl."""
    life.touch(product)
    life.world.server.delete(HTTP_ROUTES, life.keys[product])


@kind(
    8,
    lambda dice, products: (
        dice.randrange(products),
        tuple(dice.sample(_groups(), 3)),
        dice.randrange(10_000),
    ),
    wide=True,
)
def edit_any(life: Living, product: int, groups: tuple[str, ...], seed: int) -> None:
    """Give groups of fields any other values, as commits that follow each other."""
    for group in groups:
        life.edit(product, **draw_edit(group, life.spec(product), seed))


@kind(0, lambda dice, products: (dice.randrange(products), *dice.choice(_cells())), wide=True)
def in_phase(life: Living, product: int, phase: str, deed: str, value: Any) -> None:
    """Let a person edit or ask for something when the product next comes to a phase."""
    life.traps.set(product, phase, deed, value)


@kind(
    2,
    lambda dice, products: (
        dice.randrange(products),
        dice.choice((60, 1800, 20_000)),
        dice.randrange(3),
    ),
    wide=True,
)
def misconfigure(life: Living, product: int, seconds: int, seed: int) -> None:
    """Give a product a spec that the operator can't follow, and correct it after a while."""
    spec = life.spec(product)
    before = {"analysis": spec.get("analysis"), "slos": spec.get("slos")}
    life.edit(product, **invalid_edit(spec, seed))
    life.unless_corrected(seconds, lambda: life.edit(product, **before))


@kind(2, wide=True)
def rename_other(life: Living, product: int) -> None:
    """Name another digest by the version's name, and revert that after a while."""
    before = life.spec(product)["model"]["bento"]
    if before.get("image"):
        life.edit(product, model={"bento": other_bento(life.spec(product)), "evaluation": None})
        life.later(1800, lambda: life.revert(product, before))


@kind(
    3,
    lambda dice, products: (dice.randrange(products), dice.choice((20, 200, 900, 3000))),
    wide=True,
)
def revert(life: Living, product: int, seconds: int) -> None:
    """Name the bento again that the spec names now, after so many seconds."""
    before = life.spec(product)["model"]["bento"]
    life.later(seconds, lambda: life.revert(product, before))


@kind(
    2,
    lambda dice, products: (dice.randrange(products), dice.choice((300, 3000, 20_000))),
    wide=True,
)
def suspend_for(life: Living, product: int, seconds: int) -> None:
    """Suspend a product for a while."""
    life.edit(product, suspend=True)
    life.unless_corrected(seconds, lambda: life.edit(product, suspend=False))


def _groups() -> tuple[str, ...]:
    from tests.support.lives.reach import groups  # which counts the kinds of steps

    return groups()


def _cells() -> tuple[Any, ...]:
    from tests.support.lives.phases import cells  # the same

    return cells()


# ---- what versions do ---------------------------------------------------------------------------
@kind(12, lambda dice, _: (dice.choice(DIGITS), dice.choice(list(QUALITIES))))
def behave(life: Living, digit: str, quality: str) -> None:
    """Let a bento behave otherwise from now on."""
    life.world.cluster.set_quality(image(digit), QUALITIES[quality])


@kind(3, lambda dice, _: (dice.choice(DIGITS),))
def crash(life: Living, digit: str) -> None:
    """Let all pods of a bento crash, for good."""
    life.world.cluster.set_quality(image(digit), QUALITIES["crashes"])
    life.crash(image(digit))


@kind(2)
def evict(life: Living, product: int) -> None:
    """Take a pod off its node."""
    for pod in life.world.cluster.pods_of(life.keys[product])[-1:]:
        life.world.cluster.workloads.evict(pod)


@kind(3, with_choice(0.0, 0.2, 20.0, 200.0))
def visitors(life: Living, product: int, rate: float) -> None:
    """Let more or fewer people come."""
    life.world.cluster.set_rate(life.keys[product], rate)


@kind(2, lambda dice, _: (dice.choice((1, 2, 4)), dice.choice((60, 900))))
def quota(life: Living, pods: int, seconds: int) -> None:
    """Let each namespace have few pods for a while."""
    for namespace in life.namespaces():
        life.world.cluster.workloads.quota[namespace] = pods
    life.later(seconds, life.lift_quota)


@kind(2, lambda dice, _: (dice.choice((60, 900)),))
def gateway_refuses(life: Living, seconds: int) -> None:
    """Let the gateway follow no route for a while."""
    life.world.cluster.set_accepts(accepts=False)
    life.later(seconds, lambda: life.world.cluster.set_accepts(accepts=True))


# ---- faults -------------------------------------------------------------------------------------
@kind(4, lambda dice, _: (dice.choice(LIES), dice.choice((30, 300, 1800))))
def prometheus(life: Living, lie: Lie, seconds: int) -> None:
    """Let Prometheus answer nothing, or wrongly, for a while."""
    life.distort_metrics(lie, seconds)


@kind(3, lambda dice, _: (dice.choice(list(NetworkFault)), dice.choice((5, 60, 400))))
def api_server(life: Living, problem: NetworkFault, seconds: int) -> None:
    """Let nothing of the API server work for a while."""
    life.fail_api(lambda *_: problem, seconds, watches=True)


@kind(
    4,
    lambda dice, _: (
        dice.choice(WRITES),
        dice.choice((403, 409, 422, 429, 500)),
        dice.choice((10, 120, 900)),
    ),
)
def refuse(life: Living, plural: str, status: int, seconds: int) -> None:
    """Let the API server refuse all writes of a kind for a while."""
    reason = {403: "Forbidden", 409: "Conflict", 422: "Invalid"}.get(status, "InternalError")
    headers = {"Retry-After": "5"} if status == 429 else {}
    refusal = Refused(status, reason, "no, says an admission webhook", **headers)

    def judge(_: str, request: Any) -> Refused | None:
        hit = request.method != "GET" and f"/{plural}" in request.path
        return refusal if hit else None

    life.fail_api(judge, seconds, watches=False)


@kind(2, lambda dice, _: (dice.choice((30, 700)),))
def gap(life: Living, seconds: int) -> None:
    """Let all watches lose their events for a while, and then be too old."""
    for stream in life.world.server.streams():
        stream.swallows = True
    life.later(seconds, life.end_watches)


@kind(4, lambda *_: ())
def kill_leader(life: Living) -> None:
    """Kill the leader; the Deployment starts another replica."""
    life.replace_leader(kill=True)


@kind(2, lambda *_: ())
def upgrade(life: Living) -> None:
    """Stop the leader as a rolling upgrade does; another replica is started."""
    life.replace_leader(kill=False)


@kind(1, lambda dice, _: (dice.choice((300, 2400)),))
def another_operator(life: Living, seconds: int) -> None:
    """Let a second release of the operator watch the same namespaces for a while."""
    life.install_another(seconds)


@kind(2, lambda dice, _: (dice.choice((-7200, -90, -3, 3, 90)),))
def clock(life: Living, seconds: int) -> None:
    """Set the wall clocks of all replicas."""
    for replica in life.world.replicas:
        replica.skew += seconds


@kind(6, lambda dice, _: (dice.choice((5, 30, 120)) * BLOCK,))
def rest(life: Living, seconds: int) -> None:
    """Let nothing happen for a while."""
    life.rests = seconds
