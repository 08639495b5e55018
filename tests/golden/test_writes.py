"""All requests by which a product's children and Jobs are written, by what is observed of them.

A line has the requests of one case in their order, and what it ends with. A body "as built" is the
manifest of `build_children`; "of uid@version" is the object for which the write is.
"""

from __future__ import annotations

import contextlib
import json
import re
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import product as every
from typing import TYPE_CHECKING, Any, Self

import pytest

from sluicegate.api import names
from sluicegate.api.names import ConditionReason
from sluicegate.api.retraining_status import RetrainingStatus, Trigger
from sluicegate.api.shadow import ShadowStatus
from sluicegate.errors import SluicegateError
from sluicegate.kube.errors import Conflict, Forbidden, TooManyRequests, Transient
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    HTTP_ROUTES,
    JOBS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Key,
)
from sluicegate.policy.model.observed import Portfolio
from sluicegate.policy.retraining.budget import Budget
from sluicegate.reconcile.apply.applier import Applier
from sluicegate.reconcile.apply.child_writer import ChildKeeper, WriteObstacle
from sluicegate.reconcile.apply.slot_release import SlotKeeper
from sluicegate.reconcile.apply.training_jobs import Trainer
from sluicegate.reconcile.build import Child, build_children
from sluicegate.reconcile.fleet.registry import FleetRegistry
from sluicegate.reconcile.fleet.snapshot import ProductSnapshot
from sluicegate.reconcile.fleet.training_slots import JobRefusal, Reserved
from sluicegate.reconcile.live.children import RouteRecord, watched
from sluicegate.reconcile.live.product import product_record
from sluicegate.reconcile.routes.arbitration import Claims
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.runtime.cache import Caches
from sluicegate.runtime.workqueue import WorkQueue
from sluicegate.settings import ServiceKind, Settings
from tests.support.apiserver.api_stand_in import ApiStandIn, failure
from tests.support.apiserver.built_controller import build_controller, reconciler_of
from tests.support.decisions.combinations import by_outcome
from tests.support.decisions.rollout_world import RUNTIME, START, World, document
from tests.support.decisions.rollouts import at_weight, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from aiohttp import web

    from sluicegate.api.status import DataProductStatus
    from sluicegate.kube.resources import Resource
    from sluicegate.reconcile.observe.observation import Observation

pytestmark = pytest.mark.slow

Body = dict[str, Any]
SCALED = {
    "runtimeImage": RUNTIME,
    "resources": {"requests": {"cpu": "100m"}},
    "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
}
APPLIED = {
    "manager": names.FIELD_MANAGER,
    "operation": "Apply",
    "fieldsV1": {
        "f:metadata": {"f:annotations": {}, "f:labels": {}, "f:ownerReferences": {}},
        "f:spec": {},
    },
}


def plain(error: object) -> str:
    """What it says, without the body of the answer."""
    return re.sub(r": \{.*\}", "", str(error))


class Answering(ApiStandIn):
    """Answers creations of Jobs as it is told to."""

    answer: tuple[int, str] | None = None

    def _create(self, path: str, body: Body) -> web.Response:
        return failure(*self.answer) if self.answer else super()._create(path, body)


@dataclass
class Case:
    """One product on an empty API server, known to an operator with empty caches."""

    server: Answering
    spec: Body

    def __post_init__(self) -> None:
        server = self.server
        server.restore({"/": {"metadata": {"resourceVersion": "99"}}})
        server.objects = {}
        server.sent.clear()
        server.refused, server.invalid, server.unavailable, server.answer = set(), set(), 0, None
        self.applier = Applier(server.api, Caches(watched()))
        self.record = product_record(server.keep(DATA_PRODUCTS, self.spec))
        self.built: dict[str, Body] = {}
        self.created: dict[str, Body] = {}

    def knows(self, *children: Child) -> Self:
        """What is built, so that a golden says of a body that it is that."""
        self.built |= {one.resource.path(*one.key): one.manifest for one in children}
        return self

    def lives(self, resource: Resource, body: Body, *, seen: bool = True) -> Body:
        """An object that lives, and that the watch has told of."""
        kept = self.server.keep(resource, json.loads(json.dumps(body)))
        if seen:
            self.applier.caches.written(resource, kept)
        return kept

    async def ends(self, doing: Awaitable[object]) -> str:
        """What it sends, and what it ends with."""
        try:
            found = await doing
            end = "" if found is None else f" {found}"
        except SluicegateError as error:
            end = f" raises {type(error).__name__}: {plain(error)}"
        sent = "; ".join(map(self.told, self.server.sent))
        return (sent or "nothing") + end

    def told(self, sent: Any) -> str:
        if sent.method == "POST":
            name = sent.body["metadata"]["name"]
            self.created[name] = sent.body
            return f"POST {sent.path.rpartition('/')[2]}/{name}"
        if sent.body.get("kind") == "DeleteOptions":
            assert sent.body["propagationPolicy"] == "Background"
        uid, version = sent.observed
        body = {name: part for name, part in sent.body.items() if name != "preconditions"}
        meta = {
            name: part
            for name, part in (body.pop("metadata", None) or {}).items()
            if name not in ("uid", "resourceVersion")
        }
        body |= {"metadata": meta} if meta else {}
        built = " as built" if body and body == self.built.get(sent.path) else ""
        of = f" of {uid}@{version}" if uid or version else ""
        query = sent.query.replace("fieldManager=sluicegate", "").replace("&force=true", "")
        name = "/".join(sent.path.split("/")[-2:]) + (f"?{query}" if query else "")
        other = "" if built or not body or sent.method == "DELETE" else f" {json.dumps(body)}"
        return f"{sent.method} {name}{of}{built}{other}"


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    async with Answering() as started:
        yield started


def children_of(world: World, **fields: Any) -> tuple[Child, ...]:
    allocation = replace(allocation_of(world.product, world.current, stable_pods=2), **fields)
    return build_children(world.product, allocation, {}, service_kind=ServiceKind.HEADLESS)


def stored(child: Child) -> Body:
    """The object as the operator applied it."""
    body = deepcopy(child.manifest)
    body["metadata"]["managedFields"] = [APPLIED]
    return body


def by_hand(child: Child) -> Body:
    """The same, after a person changed it."""
    return changed(stored(child), spec={"by": "hand"})


def changed(body: Body, **parts: Body) -> Body:
    return body | {name: body.get(name, {}) | part for name, part in parts.items()}


def owned(child: Child, *by: Body) -> Body:
    return changed(stored(child), metadata={"ownerReferences": by})


# ---- one child -------------------------------------------------------------------------------
OWN = document()["metadata"]["uid"]
OURS = {"kind": names.KIND, "name": "search", "uid": OWN, "controller": True}
FORMER = OURS | {"uid": "uid-of-the-one-before"}
STRANGER = OURS | {"name": "other", "uid": "uid-of-another"}


def moved(case: Case, child: Child) -> None:
    case.lives(child.resource, by_hand(child))
    case.server.move(child.resource, child.key)


def gone(case: Case, child: Child) -> None:
    case.lives(child.resource, by_hand(child))
    del case.server.objects[child.resource.path(*child.key)]


def anew(case: Case, child: Child) -> None:
    gone(case, child)
    case.lives(child.resource, stored(child), seen=False)


def live(
    make: Callable[..., Body], *of: Body, seen: bool = True, **parts: Body
) -> Callable[[Case, Child], object]:
    """It lives as `make` tells, with other parts."""
    return lambda case, one: case.lives(one.resource, changed(make(one, *of), **parts), seen=seen)


UNLABELLED: dict[str, Any] = {"metadata": {"labels": {}}}
OBSERVED: dict[str, Callable[[Case, Child], object]] = {
    "absent": lambda case, one: None,
    "absent, beside a Job": lambda case, one: case.lives(JOBS, job()),
    "in sync": live(stored),
    "drifted": live(by_hand),
    "being deleted": live(by_hand, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    "unlabelled": live(stored, **UNLABELLED),
    "moved since": moved,
    "gone since": gone,
    "made anew since": anew,
    "a predecessor's": live(owned, FORMER),
    "another product's": live(owned, STRANGER),
    "another kind's": live(owned, FORMER | {"kind": "ReplicaSet"}),
    "not controlled": live(owned, FORMER | {"controller": False}),
    "nobody's": live(owned),
    "unseen, in sync": live(stored, seen=False),
    "unseen, drifted": live(by_hand, seen=False),
    "unseen, a predecessor's": live(owned, FORMER, seen=False),
    "unseen, another's too": live(owned, STRANGER | {"controller": False}, OURS, seen=False),
    "unseen, not to be known as ours": live(owned, OURS | {"controller": False}, seen=False, **UNLABELLED),
    "unseen, nobody's": live(owned, seen=False, **UNLABELLED),
}  # fmt: skip
ANSWERS: dict[str, Callable[[Case, Child], object]] = {
    "is taken": lambda case, one: None,
    "is invalid": lambda case, one: case.server.invalid.add(one.resource.plural),
    "is forbidden": lambda case, one: case.server.refused.add(one.resource.path(*one.key)),
    "has no answer": lambda case, one: setattr(case.server, "unavailable", 1),
}


async def table(
    cases: Iterable[tuple[str, ...]], judge: Callable[..., Awaitable[str]]
) -> Iterator[str]:
    return by_outcome({case: await judge(*case) for case in cases})


async def test_what_is_sent_of_a_child_by_what_is_observed_of_it(server, golden):
    world = serving()
    child = next(one for one in children_of(world) if one.resource == SERVICES)

    async def judge(observed: str, answer: str, way: str) -> str:
        case = Case(server, world.spec).knows(child)
        OBSERVED[observed](case, child)
        ANSWERS[answer](case, child)
        if way == "rehearsed":
            return await case.ends(case.applier.rehearse(case.record, [child]))
        if way == "applied":
            first = await case.ends(case.applier.apply(case.record, [child]))
            server.sent.clear()
            server.invalid.clear()
            server.refused.clear()
            return f"{first}, then {await case.ends(case.applier.apply(case.record, [child]))}"
        found = list(case.applier.leftovers(case.record, ()))
        return await case.ends(case.applier.apply(case.record, (), found))

    cases = [
        *every(OBSERVED, ANSWERS, ("applied",)),
        *every(OBSERVED, ("is taken", "is invalid"), ("rehearsed", "a leftover")),
    ]
    golden("writes/children.txt", await table(cases, judge))


TEMPLATES: dict[str, Callable[[Body], object]] = {
    "the same": lambda body: None,
    "of another builder": lambda body: body["spec"]["template"]["spec"].update(hostname="a"),
    "without one": lambda body: body["spec"].pop("template"),
}
FIELDS: dict[str, Body | None] = {
    "all of it": APPLIED,
    "all but the template": APPLIED
    | {"fieldsV1": {"f:metadata": APPLIED["fieldsV1"]["f:metadata"], "f:spec": {"f:replicas": {}}}},
    "none": None,
}
INPUTS = {
    "all equal": {},
    "equal inputs": {names.ANNOTATION_TEMPLATE_HASH: "another"},
    "other inputs": {names.ANNOTATION_INPUTS_HASH: "another", names.ANNOTATION_TEMPLATE_HASH: "a"},
}
HAND = {"in sync": {}, "drifted": {"replicas": 7}}


async def test_what_is_sent_of_a_deployment_that_an_older_operator_rendered(server, golden):
    world = serving()
    child = children_of(world)[0]
    assert child.resource == DEPLOYMENTS

    async def judge(template: str, inputs: str, fields: str, hand: str) -> str:
        case = Case(server, world.spec).knows(child)
        body = deepcopy(child.manifest)
        body["metadata"]["annotations"] |= INPUTS[inputs]
        TEMPLATES[template](body)
        body["spec"] |= HAND[hand]
        body["metadata"]["managedFields"] = [FIELDS[fields]] if FIELDS[fields] else []
        case.lives(DEPLOYMENTS, body)
        kept = deepcopy(child.manifest)
        kept["metadata"]["annotations"] |= INPUTS[inputs]
        if template != "without one":
            kept["spec"]["template"] = body["spec"]["template"]
        said = await case.ends(case.applier.apply(case.record, [child]))
        last = {**server.sent[-1].body} if server.sent else {}
        if last.get("spec") == kept["spec"] and " as built" not in said:
            hashed = last["metadata"]["annotations"] == kept["metadata"]["annotations"]
            said = f"{said.partition(' {')[0]} as built with the template that lives, hash of it {hashed}"
        return said

    cases = [
        *every(TEMPLATES, ("equal inputs",), FIELDS, HAND),
        *every(("of another builder",), ("other inputs", "all equal"), ("all of it",), HAND),
    ]
    golden("writes/templates.txt", await table(cases, judge))


# ---- all of them -----------------------------------------------------------------------------
def weighing(*weights: tuple[str, int]) -> Callable[[Body], object]:
    """Let a route that lives have these weights."""

    def change(body: Body) -> None:
        refs = body["spec"]["rules"][0]["backendRefs"]
        body["spec"]["rules"][0]["backendRefs"] = [
            {**(refs[int(name)] if name.isdigit() else refs[0] | {"name": name}), "weight": weight}
            for name, weight in weights
        ]

    return change


WEIGHTS: dict[str, Callable[[Body], object]] = {
    "as wanted": weighing(("0", 75), ("1", 25)),
    "less of stable": weighing(("0", 50), ("1", 50)),
    "more of stable": weighing(("0", 95), ("1", 5)),
    "all of stable": weighing(("0", 100)),
    "a bit of a third": weighing(("0", 75), ("1", 24), ("search-old", 1)),
    "nothing of a third": weighing(("0", 75), ("1", 25), ("search-old", 0)),
    "no backends": weighing(),
}
LACKING = {"all live": 99, "a service is missing": 1, "another is missing": 0}
PODS = {"as many": 0, "one more": 1, "one less": -1}


def unscaled(child: Child) -> Child:
    """The same, where an autoscaler sets the number of pods."""
    spec = {name: part for name, part in child.manifest["spec"].items() if name != "replicas"}
    return replace(child, manifest=child.manifest | {"spec": spec})


async def test_in_which_order_children_are_written(server, golden):
    world = canary(serving=SCALED)
    children = children_of(world)

    async def judge(weights: str, lacking: str, pods: str) -> str:
        case = Case(server, world.spec).knows(*children)
        services = [one for one in children if one.resource == SERVICES]
        for child in children:
            if child in services and services.index(child) == LACKING[lacking]:
                continue
            body = by_hand(child)
            if child.resource == HTTP_ROUTES:
                WEIGHTS[weights](body)
            if child.resource == DEPLOYMENTS:
                body["spec"]["replicas"] += PODS.get(pods, 1)
            case.lives(child.resource, body)
        wanted = children if pods in PODS else tuple(map(unscaled, children))
        await case.ends(case.applier.apply(case.record, wanted))
        return short(server)

    cases = [
        *every(WEIGHTS, ("all live",), ("as many",)),
        *every(("more of stable", "less of stable"), LACKING, PODS),
        ("as wanted", "all live", "an autoscaler's"),
    ]
    golden("writes/orders.txt", await table(cases, judge))


def canary(**spec: Any) -> World:
    world = serving(**spec).push("b", "v2")
    return world.until(at_weight(25))


def short(server: Answering) -> str:
    """What was sent, without what it is for."""
    marks = {"PATCH": "", "DELETE": "-", "GET": "?", "POST": "+"}
    paths = (f"{marks[one.method]}{'/'.join(one.path.split('/')[-2:])}" for one in server.sent)
    return " ".join(path.replace("search-", "") for path in paths)


REFUSED = (
    "none",
    "deployments",
    "services",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "httproutes",
)


async def test_what_waits_for_what_is_refused(server, golden):
    """Half of the children are leftovers: those of the candidate, the route or all are not wanted."""
    world = canary(serving=SCALED)
    children = children_of(world)
    wanted: dict[str, Callable[[Child], bool]] = {
        "all": lambda one: True,
        "no route": lambda one: one.resource != HTTP_ROUTES,
        "no candidate": lambda one: one.key.name != children[2].key.name,
        "nothing": lambda one: False,
    }

    async def judge(kept: str, refused: str, pods: str) -> str:
        case = Case(server, world.spec)
        for child in children:
            body = by_hand(child)
            if child.resource == DEPLOYMENTS:
                body["spec"]["replicas"] += PODS[pods]
            case.lives(child.resource, body)
        server.invalid.add(refused)
        left = [one for one in children if wanted[kept](one)]
        found = list(case.applier.leftovers(case.record, left))
        end = await case.ends(case.applier.apply(case.record, left, found))
        return short(server) + end[end.find(" raises") :] * (" raises" in end)

    cases = [*every(wanted, REFUSED, ("one more",)), *every(wanted, ("services",), ("as many",))]
    golden("writes/refused.txt", await table(cases, judge))


async def test_which_refusal_is_told_of_several(server, golden):
    world = canary(serving=SCALED)
    ones = [one for one in children_of(world) if one.resource == SERVICES][:2]
    states = ("drifted", "nobody's", "a predecessor's", "moved since", "forbidden")

    async def judge(*observed: str) -> str:
        case = Case(server, world.spec)
        for child, state in zip(ones, observed, strict=True):
            OBSERVED.get(state, OBSERVED["drifted"])(case, child)
            if state == "forbidden":
                ANSWERS["is forbidden"](case, child)
        said = await case.ends(case.applier.apply(case.record, ones))
        return said.partition(" raises ")[2] or "nothing"

    golden("writes/several.txt", await table(every(states, states), judge))


# ---- what keeps a child from being written ------------------------------------------------
LIVE: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda live: live,
    "of other inputs": lambda live: replace(live, annotations=()),
    "with one more": lambda live: replace(live, replicas=live.replicas + 1),
    "absent": lambda live: None,
    "under another name": lambda live: replace(live, key=Key("catalog", "another"), replicas=9),
}
STAGES: dict[str, Callable[[], World]] = {
    "the first version": lambda: World().run(0),
    "stable": serving,
    "a canary": canary,
}


async def test_what_is_foreseen_of_a_write(server, golden):
    worlds = {name: stage() for name, stage in STAGES.items()}

    async def judge(live: str, stage: str, generation: str, answer: str) -> str:
        world = worlds[stage]
        spec = deepcopy(world.spec)
        spec["metadata"]["generation"] += generation == "a new one"
        case = Case(server, {**spec, "status": world.status})
        observation = world.observation()
        children = children_of(world) if observation.live else ()
        for child in children:
            case.lives(
                child.resource, by_hand(child) if child.resource == SERVICES else stored(child)
            )
            ANSWERS[answer](case, child)
        first = next(iter(observation.live), "")
        found = {
            revision: replace(
                one, key=child.key, replicas=child.manifest["spec"]["replicas"],
                annotations=tuple(child.manifest["metadata"]["annotations"].items()),
            )
            for revision, one in observation.live.items()
            for child in children
            if child.resource == DEPLOYMENTS and child.key.name.endswith(revision)
        }  # fmt: skip
        seen = {
            revision: LIVE[live](one) if revision == first else one
            for revision, one in found.items()
        }
        observation = replace(
            observation, live={key: one for key, one in seen.items() if one}, refused="before"
        )
        keeper = ChildKeeper(case.applier, Claims())
        foreseen = await keeper.foreseen(case.record, observation, children)
        assert replace(foreseen, changing=False, refused="before") == observation
        refused = plain(foreseen.refused)
        return f"{short(server) or 'nothing'}, changing {foreseen.changing}, refused {refused!r}"

    cases = [
        *every(LIVE, ("stable", "a canary"), ("a new one", "the same"), ("is taken",)),
        *every(("as it is",), STAGES, ("a new one", "the same"), ANSWERS),
    ]
    golden("writes/foreseen.txt", await table(cases, judge))


ROUTES: dict[str, Body | None] = {
    "accepted": {"type": "Accepted", "status": "True"},
    "denied": {"type": "Accepted", "status": "False"},
    "silent": None,
}


async def test_what_becomes_of_a_route_that_is_refused(server, golden):
    world = serving()
    children = children_of(world)

    async def judge(route: str, asked: str, kept: str, answer: str) -> str:
        case = Case(server, {**world.spec, "status": {}})
        claims = Claims()
        for child in children:
            body = stored(child)
            if child.resource == HTTP_ROUTES:
                if route == "absent":
                    continue
                parent = body["spec"]["parentRefs"][0]
                said = ROUTES[route]
                parents = [{"parentRef": parent, "conditions": [said]}] if said else []
                body = changed(by_hand(child), status={"parents": parents})
            case.lives(child.resource, body)
            ANSWERS[answer](case, child)
        service = next(one for one in children if one.resource == SERVICES)
        case.lives(SERVICES, changed(stored(service), metadata={"name": "search-former"}))
        live = case.applier.caches[HTTP_ROUTES].get(children[-1].key)
        claims.record(case.record, live if isinstance(live, RouteRecord) else None)
        keeper = ChildKeeper(case.applier, claims)
        observation = replace(
            world.observation(), shadowed=asked == "refused", route_kept=kept == "kept"
        )
        end = await case.ends(keeper.keep(case.record, observation, children))
        told = [f"{one.reason}: {plain(one.text)}" for one in keeper.obstacles.values()]
        return (
            f"{short(server) or 'nothing'}{end[end.find(' raises') :] * (' raises' in end)} {told}"
        )

    routes = (*ROUTES, "absent")
    cases = [
        *every(routes, ("refused", "taken"), ("kept", "not kept"), ("is taken",)),
        *every(("accepted",), ("taken",), ("not kept",), ANSWERS),
    ]
    golden("writes/kept.txt", await table(cases, judge))


# ---- Jobs -------------------------------------------------------------------------------------
TRAINING = {"command": ["train"], "output": "registry.example/search", "timeoutSeconds": 600}
SHADOW = {"command": ["score"], "intervalSeconds": 600}
NEED = Trigger(id="0a1b2c3d", cause="Requested", version="v1", trigger_time=START)
ATTEMPT = RetrainingStatus(trigger=NEED, attempt=1, started_attempts=1)
PHASE = ShadowStatus(since_time=START, until_time=START + 600, job="search-shadow-1")
WANTS = {
    "nothing": (None, None),
    "a training": (ATTEMPT, None),
    "a shadow phase": (None, PHASE),
    "both": (ATTEMPT, PHASE),
}
ENDLESS = {"a phase without an end": (None, PHASE.replace(until_time=None))}
TRAINED = "search-train-0a1b2c3d-1"
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}


def job(
    name: str = TRAINED, *by: Body, spec: Body | None = None, status: Body | None = None
) -> Body:
    meta: Body = {"namespace": "catalog", "name": name, "labels": {names.LABEL_PRODUCT: "search"}}
    meta["ownerReferences"] = by or [OURS]
    return {"metadata": meta, "spec": spec or {}, "status": status or {}}


JOBS_THERE: dict[str, tuple[Body | None, bool]] = {
    "none": (None, True),
    "the training's": (job(), True),
    "the training's, unseen": (job(), False),
    "a predecessor's": (job(TRAINED, FORMER), True),
    "another's too, unseen": (job(TRAINED, STRANGER | {"controller": False}, OURS), False),
    "another's, unseen": (job(TRAINED, STRANGER), False),
    "the shadow phase's": (job("search-shadow-1"), True),
    "a predecessor's shadow": (job("search-shadow-1", FORMER), True),
    "a former one": (job("search-train-old"), True),
    "a former one, ended": (job("search-train-old", status=COMPLETE), True),
    "a former one, to expire": (
        job("search-train-old", status=COMPLETE, spec={"ttlSecondsAfterFinished": 9}), True,
    ),
    "a former one of another": (job("search-train-old", FORMER), True),
}  # fmt: skip
"""A Job that lives, and whether the watch has told of it."""
CREATIONS: dict[str, tuple[int, str] | None] = {
    "is created": None,
    "is invalid": (422, "Invalid"),
    "is a bad request": (400, "BadRequest"),
    "is forbidden": (403, "Forbidden"),
    "has no answer": (503, "ServiceUnavailable"),
}


def again(observation: Observation, status: DataProductStatus, *, slot: bool) -> Observation:
    """What is wanted was wanted before."""
    observed = replace(observation.observed, portfolio=Portfolio(slot=slot))
    product = observation.product.replace(status=status)
    return replace(observation, product=product, observed=observed)


def suspended(observation: Observation, _: DataProductStatus) -> Observation:
    spec = observation.product.spec.replace(suspend=True)
    return replace(observation, product=observation.product.replace(spec=spec))


SEEN: dict[str, Callable[[Observation, DataProductStatus], Observation]] = {
    "for the first time": lambda one, _: one,
    "with a slot": partial(again, slot=True),
    "without a slot": partial(again, slot=False),
    "trains": lambda one, _: replace(one, trains=True),
    "suspended": suspended,
}
ACCOUNTS: dict[str, Body | None] = {
    "allowed": {names.LABEL_ALLOW_TRAINING: "true"},
    "not allowed": {names.LABEL_ALLOW_TRAINING: "yes"},
    "absent": None,
}


async def test_which_jobs_are_created_and_ended(server, golden):
    rollout = {"steps": [5, 25, 50], "shadow": SHADOW}
    world = serving(retraining=TRAINING, rollout=rollout).push("b", "v2").until(at_weight(5))
    bodies: dict[str, Body] = {}

    async def judge(there: str, wants: str, answer: str, seen: str, refused: str) -> str:
        case = Case(server, world.spec)
        body, known = JOBS_THERE[there]
        if body is not None:
            case.lives(JOBS, body, seen=known)
        server.answer = CREATIONS.get(answer)
        account = answer.removeprefix("as an account that is ")
        if (allowed := ACCOUNTS.get(account)) is not None:
            meta = {"namespace": "catalog", "name": "trainer", "labels": allowed}
            server.keep(SERVICE_ACCOUNTS, {"metadata": meta})
        trainer = Trainer(case.applier, Settings())
        if refused != "nothing":
            trainer.refuse(case.record.key, "before", "before", final=True)
        training, shadow = (WANTS | ENDLESS)[wants]
        assert world.current.candidate is not None
        candidate = world.current.candidate.replace(shadow=shadow)
        status = world.current.replace(candidate=candidate, retraining=training)
        observation = SEEN[seen](world.observation(), status)
        if account in ACCOUNTS:
            spec = observation.product.spec
            assert spec.retraining is not None
            spec = spec.replace(retraining=spec.retraining.replace(service_account_name="trainer"))
            observation = replace(observation, product=observation.product.replace(spec=spec))
        end = await case.ends(trainer.keep(case.record, observation, status))
        bodies.update(case.created)
        told = [
            f"{one.job}: {plain(one.message)}{', final' * one.final}"
            for one in trainer.refusals.values()
        ]
        return f"{end}; refusals {told}"

    cases = [
        *every(("none",), ENDLESS, ("is created",), ("for the first time",), ("nothing",)),
        *every(JOBS_THERE, WANTS, ("is created",), ("for the first time",), ("nothing",)),
        *every(
            ("none",),
            ("a training", "a shadow phase"),
            (*CREATIONS, *(f"as an account that is {one}" for one in ACCOUNTS)),
            ("for the first time",),
            ("nothing",),
        ),
        *every(("none",), WANTS, ("is created",), SEEN, ("nothing", "another")),
    ]
    lines = [*await table(cases, judge)]
    lines += [f"{name}: {json.dumps(body)}" for name, body in bodies.items()]
    golden("writes/jobs.txt", lines)


# ---- slots --------------------------------------------------------------------------------------
FAILURES: dict[str, Exception | None] = {
    "nothing fails": None,
    "a conflict": Conflict("stale"),
    "no answer": Transient("no answer"),
    "too many requests": TooManyRequests("wait", retry_after=1.0),
    "a refusal": Forbidden("forbidden"),
}
SLOTS = {
    "no slot": None,
    "a slot of 59 s": Reserved(TRAINED, START - 59),
    "a slot of 60 s": Reserved(TRAINED, START - 60),
}
JOBS_SEEN: dict[str, tuple[Body, ...]] = {
    "no job": (),
    "its job": (job(),),
    "its job, ended": (job(status=COMPLETE),),
    "another job": (job("search-train-old"),),
}
KNOWN = {
    "no refusal": None,
    "a refusal of it": JobRefusal(TRAINED, "before"),
    "a final refusal of it": JobRefusal(TRAINED, "before", final=True),
    "a final refusal of another": JobRefusal("search-train-old", "before", final=True),
}
OBSTACLES = {"no obstacle": None, "an obstacle": WriteObstacle(ConditionReason.APPLY_REFUSED, "no")}
OTHER = Key("other", "waits")


async def test_what_becomes_of_a_slot(server, golden):
    case = Case(server, document())
    key, jobs = case.record.key, {}
    for name, bodies in JOBS_SEEN.items():
        controller = build_controller(server.api)
        for body in bodies:
            reconciler_of(controller).applier.caches.written(JOBS, server.keep(JOBS, body))
        jobs[name] = reconciler_of(controller).observer

    async def judge(failure: str, slot: str, there: str, known: str, obstacle: str) -> str:
        fleet, queue = FleetRegistry(Budget(total=1)), WorkQueue(lambda: 0.0, jitter=lambda: 1.0)
        reserved = SLOTS[slot]
        fleet.record(key, ProductSnapshot(training=True, reserved=reserved))
        fleet.record(OTHER, ProductSnapshot(waiting_since=START - 9))
        refusals = {key: refusal} if (refusal := KNOWN[known]) else {}
        trainer = Trainer(case.applier, Settings(), refusals)
        keeper = SlotKeeper(fleet, trainer, jobs[there], queue, lambda: START + 0.9)
        obstacles = {key: found} if (found := OBSTACLES[obstacle]) else {}
        raised = FAILURES[failure]
        with contextlib.suppress(SluicegateError), keeper.watch(case.record, obstacles):
            if raised is not None:
                raise raised
        after = fleet._snapshots[key]
        called = [one.name for one in iter(queue.poll, None)]
        told = [f"{one.message}{', final' * one.final}" for one in refusals.values()]
        return (
            f"{'trains' if after.training else 'no slot'}{', reserved' * bool(after.reserved)}"
            f"{', aside' * after.aside}; refusals {told}; called {called}"
        )

    cases = [
        *every(
            FAILURES, SLOTS, JOBS_SEEN, ("no refusal", "a final refusal of it"), ("no obstacle",)
        ),
        *every(("nothing fails", "a refusal"), ("a slot of 60 s",), ("no job",), KNOWN, OBSTACLES),
    ]
    golden("writes/slots.txt", await table(cases, judge))
