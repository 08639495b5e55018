"""Stories of the whole operator and its messenger, which cause each kind of message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.prometheus_stand_in import Lie
from benchmarks.virtual.admission import Refused
from benchmarks.virtual.cluster import Effect
from benchmarks.virtual.trainings import Training
from benchmarks.virtual.variation import Scatter, Variation
from benchmarks.virtual.workloads import REGISTRY_AWAY, Quality
from sluicegate.api import names
from sluicegate.api.base import rfc3339
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, GATEWAYS
from sluicegate.views.approval_notes import ApprovalNote, consumer_annotation, role_annotation
from tests.support.decisions.rollout_world import RUNTIME, image
from tests.support.receivers.virtual_messenger import MessengerWorld
from tests.support.virtual.stories import (
    BAD,
    COUNTS,
    HOUR,
    OUTPUT,
    TRAINED,
    opened,
    product,
    pushed,
    serving,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest
    from sluicegate.kube.resources import Key

Body = dict[str, Any]

PAGES: Final = "https://products.example"
RARELY: Final[Body] = {
    "lease_duration_seconds": 300, "lease_renew_seconds": 290, "lease_retry_seconds": 60,
}  # fmt: skip
"""Times in docs/notification-examples.md follow from how many requests are sent, each with a drawn latency."""
MORNING: Final = {"at": "08:30", "timeZone": "Europe/Paris", "to": ["bus"]}
VERB: Final = "Play the story: "
STEPS: Final = {"steps": [5, 25, 50], "maxDurationSeconds": 86_400}
AVAILABLE: Final = {
    "name": "availability", "objective": "0.9", "maxRegression": "0.03",
    "indicator": {"availability": {}},
}  # fmt: skip
DAY: Final = 24 * HOUR
TITLES: Final = {"search": "Search ranking", "pricing": "Car pricing", "photos": "Photo quality"}
MANAGER: Final = {"name": "Ada", "username": "ada", "role": "DataProductManager"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as a receiver got it, and the story that led to it."""

    kind: str
    urgency: str
    title: str
    text: str
    story: str


async def sent_in(story: Callable[[World], Awaitable[None]], *, for_days: bool) -> list[Sent]:
    """Return the messages of a story, in their order."""
    async with opened(for_days=for_days) as world:
        beside = MessengerWorld(
            beside=world,
            portfolioUrl=PAGES,
            cluster="production",
            groupSeconds=30,
            digests=[MORNING],
        )
        beside.start(**RARELY)
        await story(world)
        await world.run(120)
        return [
            Sent(
                one.kind, one.data["urgency"], one.data["title"], one.data["text"],
                _plot(story),
            )
            for one in beside.bus.distinct()
        ]  # fmt: skip


def _plot(story: Callable[[World], Awaitable[None]]) -> str:
    """Return the events of a story, as a sentence."""
    plot = (story.__doc__ or "").strip().removeprefix(VERB)
    return plot[:1].upper() + plot[1:]


def named(name: str = "search", **spec: Any) -> Body:
    """Return a product with an owner and a name for people."""
    return product(name, **({"owner": f"group:default/{name}", "displayName": TITLES[name]} | spec))


async def in_service(world: World, body: Body, *, hours: float = 1.0) -> Key:
    """Return a product whose first version has served for some hours."""
    key = world.apply(body)
    world.start(**RARELY)
    version = body["spec"]["model"]["bento"]["version"]
    await world.until(lambda: serving(world, key) == version, seconds=60)
    await world.run(hours * HOUR)
    return key


def reason(world: World, key: Key, kind: str) -> str:
    """Return the reason of a condition; empty without it."""
    return str(world.condition(key, kind).get("reason", ""))


# ---- a model that decays ------------------------------------------------------------------------
async def decay(world: World) -> None:
    """Play the story: the answers become worse, a training follows, and its version replaces the old one."""
    key = world.apply(named(rollout=STEPS))
    world.cluster.trainings[key] = Training(seconds=600, report=TRAINED)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(2 * HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(lambda: serving(world, key) == "v2-trained", seconds=12 * HOUR)
    await world.run(3 * HOUR)


async def failing_training(world: World) -> None:
    """Play the story: the answers become worse, and each training that a person requests fails."""
    key = world.apply(named())
    world.cluster.trainings[key] = Training(seconds=5, report=None)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.until(
        lambda: reason(world, key, "RetrainingActive") == "CoolingDown", seconds=6 * HOUR
    )
    for number in range(2):
        world.annotate(key, **{names.REQUEST_RETRAIN: f"again-{number}"})
        await world.run(HOUR)


async def useless_training(world: World) -> None:
    """Play the story: the answers become worse, and the training yields a version that is no better."""
    key = world.apply(named())
    result = TRAINED | {"evaluation": {"accuracy": {"bad": 4000, "total": 10_000}}}
    world.cluster.trainings[key] = Training(seconds=600, report=result)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.run(6 * HOUR)


async def suspended_training(world: World) -> None:
    """Play the story: the answers become worse, and three trainings in a row give the version that serves already."""
    training = {"command": ["train"], "output": OUTPUT, "cooldownSeconds": 600}
    key = world.apply(named(retraining=training))
    result = TRAINED | {"image": image("a"), "version": "v1"}
    world.cluster.trainings[key] = Training(seconds=120, report=result)
    world.start(**RARELY)
    await world.until(lambda: serving(world, key) == "v1", seconds=60)
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), BAD)
    await world.run(6 * HOUR)


async def refused_training(world: World) -> None:
    """Play the story: a quota of the namespace refuses the training Job."""
    key = await in_service(world, named())
    refusal = Refused(403, "Forbidden", "exceeded quota: training, requested: requests.memory=8Gi")

    def no_jobs(_: str, request: ApiRequest) -> Refused | None:
        return refusal if request.method != "GET" and "/jobs" in request.path else None

    world.network.faults["jobs"] = no_jobs
    world.annotate(key, **{names.REQUEST_RETRAIN: "now"})
    await world.run(2 * HOUR)


async def without_remedy(world: World) -> None:
    """Play the story: the answers become worse, and the product has no training."""
    await in_service(world, named(retraining=None))
    world.cluster.set_quality(image("a"), BAD)
    await world.run(3 * HOUR)


# ---- versions that people push ------------------------------------------------------------------
async def bad_version(world: World) -> None:
    """Play the story: a person pushes a version whose answers are worse."""
    key = await in_service(world, named(rollout=STEPS))
    world.cluster.set_quality(image("b"), BAD)
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: reason(world, key, "Stalled") == "ModelRejected", seconds=12 * HOUR)
    await world.run(HOUR)


async def approval(world: World) -> None:
    """Play the story: a version waits for an approval, gets it, and a check objects to it meanwhile."""
    accuracy = {
        "name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88", "maxRegression": "0.05",
    }  # fmt: skip
    key = await in_service(world, named(slos=[accuracy], rollout=STEPS | {"approval": "Manual"}))
    world.edit(key, model=pushed("b", "v2"))
    await world.until(
        lambda: (world.status(key).get("candidate") or {}).get("phase") == "AwaitingApproval",
        seconds=DAY,
    )
    for digit in "ab":
        world.cluster.set_quality(image(digit), Quality(wrong=0.14))
    await world.run(HOUR)
    world.annotate(key, **{names.REQUEST_PROMOTE: "v2/1"})
    await world.run(HOUR / 2)


async def away_registry(world: World) -> None:
    """Play the story: the registry can't be reached while a version starts."""
    key = await in_service(world, named())
    world.cluster.set_quality(image("b"), Quality(problem=REGISTRY_AWAY))
    world.edit(key, model=pushed("b", "v2"))
    await world.run(2 * HOUR)


async def undecided(world: World) -> None:
    """Play the story: a version has too little traffic to be judged in the time of its rollout."""
    key = await in_service(world, named(rollout={"steps": [5], "maxDurationSeconds": 7200}))
    world.cluster.set_rate(key, 0.5)
    world.edit(key, model=pushed("b", "v2"))
    await world.run(4 * HOUR)


async def lost_rollback(world: World) -> None:
    """Play the story: a person requests an earlier version whose image is gone."""
    key = await in_service(world, named())
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: serving(world, key) == "v2", seconds=12 * HOUR)
    await world.run(2 * HOUR)
    world.cluster.set_quality(image("a"), Quality(problem="ImagePullBackOff"))
    world.annotate(key, **{names.REQUEST_ROLLBACK: "v1/1"})
    await world.run(2 * HOUR)


# ---- specs, routes and requests -----------------------------------------------------------------
async def mistake(world: World) -> None:
    """Play the story: a person writes a block length that is too short, and corrects it."""
    key = await in_service(world, named())
    world.edit(key, analysis={"blockSeconds": 30})
    await world.run(HOUR / 2)
    world.edit(key, analysis={"blockSeconds": 300})
    await world.run(HOUR / 2)
    world.server.delete(DATA_PRODUCTS, key)


async def lost_gateway(world: World) -> None:
    """Play the story: a Gateway of the route is deleted, and the route is corrected."""
    internal = world.cluster.add_gateway("internal")
    parents = [{"name": name, "namespace": "gateway"} for name in ("web", "internal")]
    route = {"parentRefs": parents, "path": "/search"}
    key = await in_service(world, named(route=route, rollout=STEPS))
    world.edit(key, model=pushed("b", "v2"))
    await world.until(lambda: weight(world, key) == 5, seconds=120)
    await world.run(120)
    world.server.delete(GATEWAYS, internal)
    world.annotate(key, **{names.REQUEST_ABORT: "1"})
    await world.run(HOUR)
    world.edit(key, route={"parentRefs": parents[:1]})
    await world.run(HOUR / 2)


async def suspended(world: World) -> None:
    """Play the story: a person approves a version of a product that is suspended."""
    key = await in_service(world, named())
    world.edit(key, suspend=True, model=pushed("b", "v2"))
    world.annotate(key, **{names.REQUEST_PROMOTE: "v2/1"})
    await world.run(HOUR / 2)


# ---- measurements -------------------------------------------------------------------------------
async def blind(world: World) -> None:
    """Play the story: Prometheus answers nothing for some time."""
    await in_service(world, named(), hours=2)
    world.prometheus.lies[""] = Lie.REFUSED
    await world.run(HOUR)
    world.prometheus.lies.clear()
    await world.run(HOUR)


async def blind_portfolio(world: World) -> None:
    """Play the story: Prometheus answers nothing for some time, and three products are measured by it."""
    for name in TITLES:
        world.apply(named(name))
    world.start(**RARELY)
    await world.run(2 * HOUR)
    world.prometheus.lies[""] = Lie.REFUSED
    await world.run(HOUR)


async def secretless(world: World) -> None:
    """Play the story: a key is removed from the Secret of feedback, and added again."""
    serves = {"runtimeImage": RUNTIME, "feedback": {"secretRef": {"name": "feedback"}}}
    await in_service(world, named(serving=serves))
    world.cluster.set_quality(image("a"), Quality(secretless=True))
    await world.run(HOUR)
    world.cluster.set_quality(image("a"), Quality())
    await world.run(HOUR)


# ---- markets and other products -----------------------------------------------------------------
MARKETS: Final = ("FR", "DE", "ES", "IT", "BE", "AT")


async def one_market(world: World) -> None:
    """Play the story: the answers become worse in one market of six, and are good again some hours later."""
    good, fallen = dict.fromkeys(MARKETS, 0.09), {"AT": 0.39}
    body = named(
        markets=list(MARKETS),
        serving={
            "runtimeImage": RUNTIME,
            "feedback": {"secretRef": {"name": "feedback"}},
            "market": {"from": "Header", "name": "x-market"},
        },
        retraining=None,
    )
    key = world.apply(body)
    world.cluster.variations[key] = Variation("markets", wrong=Scatter(), labelled=0.5)
    world.cluster.rates[key] = 1200 / HOUR
    world.cluster.set_quality(image("a"), Quality.of_markets(**good))
    world.start(**RARELY)
    await world.run(12 * HOUR)
    world.cluster.set_quality(image("a"), Quality.of_markets(**(good | fallen)))
    await world.run(3 * HOUR)
    world.cluster.set_quality(image("a"), Quality.of_markets(**good))
    await world.run(12 * HOUR)


async def upstream_release(world: World) -> None:
    """Play the story: a release of a product degrades another product that calls it, and is rolled back."""
    pricing = world.apply(
        named("pricing", model=pushed("c", "v1"), slos=[AVAILABLE], retraining=None, rollout=STEPS)
    )
    search = world.apply(named(dependsOn=[{"name": "pricing"}]))
    for key in (pricing, search):
        world.cluster.variations[key] = Variation(
            f"upstream {key.name}", wrong=Scatter(), labelled=0.5
        )
        world.cluster.set_rate(key, 4.0)
    world.start(**RARELY)
    await world.run(DAY)
    world.cluster.effects[search] = (Effect(pricing, image("d"), 0.2),)
    world.edit(pricing, model=pushed("d", "v2"))
    await world.until(lambda: serving(world, pricing) == "v2", seconds=12 * HOUR)
    await world.run(6 * HOUR)
    world.annotate(pricing, **{names.REQUEST_ROLLBACK: "v1/now"})
    await world.run(12 * HOUR)


async def consumers_asked(world: World) -> None:
    """Play the story: a version that deprecates an operation waits for the agreement of a consumer and gets it, and the product is suspended later."""
    operations = (("POST /price", "a"), ("POST /explain", "b"))
    world.cluster.set_quality(image("c"), Quality(operations=operations))
    world.cluster.set_quality(
        image("d"), Quality(operations=operations, deprecated=("POST /explain",))
    )
    manager = MANAGER["role"]
    rollout = STEPS | {"approvals": {"roles": [manager], "consumers": ["All"]}}
    pricing = world.apply(
        named("pricing", model=pushed("c", "v1"), slos=[AVAILABLE], retraining=None, rollout=rollout,
              team={"members": [MANAGER]})
    )  # fmt: skip
    search = world.apply(named(dependsOn=[{"name": "pricing"}]))
    world.start(**RARELY)
    await world.run(2 * HOUR)
    world.edit(pricing, model=pushed("d", "v2"))

    def approvals() -> Body:
        approvals: Body = (world.status(pricing).get("candidate") or {}).get("approvals") or {}
        return approvals

    await world.until(lambda: "waitStartTime" in approvals(), seconds=6 * HOUR)
    await world.run(HOUR)
    identity = approvals()["id"]
    for key, user, annotation in (
        (pricing, "ada", role_annotation(manager)),
        (search, "kim", consumer_annotation(*pricing)),
    ):
        note = ApprovalNote("Agree", "v2", identity, user, "no change for our ranking")
        world.annotate(key, **{annotation: note.annotation})
        await world.run(600)
    await world.until(lambda: serving(world, pricing) == "v2", seconds=2 * HOUR)
    for suspended in (True, False):
        world.edit(pricing, suspend=suspended)
        await world.run(HOUR / 2)


async def another_api(world: World) -> None:
    """Play the story: a version of a product lacks an operation, which another product may call."""
    operations = (("POST /price", "a"), ("POST /explain", "b"))
    world.cluster.set_quality(image("c"), Quality(operations=operations))
    world.cluster.set_quality(image("d"), Quality(operations=operations[:1]))
    pricing = world.apply(
        named("pricing", model=pushed("c", "v1"), slos=[AVAILABLE], retraining=None, rollout=STEPS)
    )
    world.apply(named(dependsOn=[{"name": "pricing"}]))
    world.start(**RARELY)
    await world.run(HOUR)
    world.edit(pricing, model=pushed("d", "v2"))
    await world.run(HOUR)


async def upstream_outage(world: World) -> None:
    """Play the story: a product that another one calls is degraded, and recovers."""
    evaluated = pushed("c", "v1") | {"evaluation": {"accuracy": COUNTS}}
    world.apply(named("pricing", model=evaluated, retraining=None))
    world.apply(named(dependsOn=[{"name": "pricing"}]))
    world.start(**RARELY)
    await world.run(2 * HOUR)
    world.cluster.set_quality(image("c"), BAD)
    await world.run(3 * HOUR)
    world.cluster.set_quality(image("c"), Quality())
    await world.run(DAY)


# ---- reviews ------------------------------------------------------------------------------------
async def review(world: World) -> None:
    """Play the story: a review waits for signatures, is overdue, and is signed by both managers; an action of it is late."""
    team = {"members": [MANAGER, {"name": "Kim", "username": "kim", "role": "DataScientist"}]}
    roles = [MANAGER["role"], "DataScientist"]
    every = {"every": "Week", "startDate": "2025-12-26", "graceDays": 1, "signedBy": roles}
    body = named(team=team, review=every, analysis={"blockSeconds": 3600})
    key = await in_service(world, body, hours=6)

    def sealed() -> Key | None:
        for body in world.server.all(DATA_PRODUCT_REVIEWS):
            if (body.get("status") or {}).get("sealTime"):
                return type(key)(body["metadata"]["namespace"], body["metadata"]["name"])
        return None

    await world.until(lambda: sealed() is not None, seconds=10 * DAY)
    await world.run(2 * DAY)
    name = sealed()
    assert name is not None
    agreed = {"title": "check the labels of Austria", "owner": "kim", "dueDate": rfc3339(int(world.loop.wall()))[:10]}  # fmt: skip
    world.server.write(DATA_PRODUCT_REVIEWS, name, {"spec": {"actions": [agreed]}})
    await world.run(2 * DAY)
    signatures: list[Body] = []
    for username, role in (("ada", roles[0]), ("kim", roles[1])):
        now = rfc3339(int(world.loop.wall()))
        signatures.append({"username": username, "role": role, "verdict": "Agree", "signTime": now})
        world.server.write(DATA_PRODUCT_REVIEWS, name, {"spec": {"signOffs": list(signatures)}})
        await world.run(2 * HOUR)


STORIES: Final[tuple[Callable[[World], Awaitable[None]], ...]] = (
    decay, without_remedy, failing_training, useless_training, suspended_training, refused_training, bad_version,
    approval, away_registry, undecided, lost_rollback, mistake, lost_gateway, suspended,
    blind, blind_portfolio, secretless, one_market, upstream_release, consumers_asked,
    another_api,
    upstream_outage, review,
)  # fmt: skip
