"""What must hold after each write and each step, whatever happens."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.api_server import target_of
from benchmarks.virtual.cluster import FOLLOW_SECONDS
from sluicegate.api import names
from sluicegate.api.product import read_status_json
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    LEASES,
    SERVICES,
    Key,
    Resource,
)
from sluicegate.views.needs import needs_of_status
from tests.support.lives.mirroring import Mirrors
from tests.support.lives.products import MAX_DURATION, block_of, duration_of

if TYPE_CHECKING:
    from benchmarks.virtual.admission import Refused
    from benchmarks.virtual.operator import World
    from sluicegate.kube.requests import ApiRequest

Body = dict[str, Any]

BLIND_SECONDS: Final = 300
"""After so long without any answer of Prometheus nothing is decided by data."""
RECENT_SECONDS: Final = 120
"""How old a spec is that a step may still follow."""
APPROVED_DURATIONS: Final = 4
"""How many longest rollouts a promotion may take that a person asked for, with what holds it up."""
RAISES: Final = frozenset({"Advance", "Promote", "StartRollout"})
BY_DATA: Final = frozenset({"Advance", "Promote"})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be.

    Attributes
    ----------
    name : of the rule. product : whose; empty for the operator's own. text : what was seen.
    at : on the loop's clock. step : number of the step that came before.
    """

    name: str
    product: str
    text: str
    at: float
    step: int = 0

    def __str__(self) -> str:
        """In a line."""
        return f"{self.name} of {self.product or 'the operator'} at {self.at:.0f} s, after step {self.step}: {self.text}"


@dataclass
class Safety:
    """Watches every write; `found` is what was wrong."""

    world: World
    found: list[Violation] = field(default_factory=list)
    step: int = 0
    blind_since: float | None = None
    touched: dict[Key, float] = field(default_factory=dict)
    """When a person last changed something of a product."""
    asked: dict[Key, float] = field(default_factory=dict)
    """When a person last asked for something."""
    approved: dict[Key, float] = field(default_factory=dict)
    """When a person last asked for a promotion."""
    _bases: dict[Key, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    _templates: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    _began: dict[Key, float] = field(default_factory=dict)
    _selectors: dict[Key, tuple[float, Body]] = field(default_factory=dict)
    """When the selector of a product's Service last changed, and the Service before."""

    def __post_init__(self) -> None:
        """Begin to watch."""
        self.mirrors = Mirrors(self.world, self.report)
        self.world.server.on_change.append(self._changed)
        self.world.network.refused.append(self._refused)
        self.world.on_step.append(self._stepped)

    def touch(self, key: Key) -> None:
        """Record that a person changed something of a product."""
        self.touched[key] = self.world.loop.time()
        body = self.world.server.find(DATA_PRODUCTS, key)
        if body is not None:
            self._bases[key].append((self.world.loop.time(), base_of(body)))

    def report(self, name: str, key: Key | None, text: str) -> None:
        """Take in a violation."""
        product = str(key) if key else ""
        if all((one.name, one.product) != (name, product) for one in self.found):
            self.found.append(Violation(name, product, text, self.world.loop.time(), self.step))

    def _stepped(self, *_: Any) -> None:
        while self.world.errors.found:
            self.report("bug", None, self.world.errors.found.pop(0)[:600])

    def _refused(self, _: str, request: ApiRequest, refusal: Refused) -> None:
        """What the server itself refuses is wrong, a conflict apart."""
        target = target_of(request.path)
        if refusal.status not in (400, 422) or target is None or target.resource == LEASES:
            return
        key = target.key
        if target.resource != DATA_PRODUCTS:
            labels = ((request.body or {}).get("metadata") or {}).get("labels") or {}
            key = Key(key.namespace, labels.get(names.LABEL_PRODUCT, key.name))
        kind = "status refused" if target.resource == DATA_PRODUCTS else "child refused"
        self.report(kind, key, f"{request.title}: {refusal}")

    # ---- each write ---------------------------------------------------------------------------
    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        writer = self.world.network.writer
        if writer is None or resource in (LEASES, EVENTS):
            return
        replica, request = writer
        body = after or before
        assert body is not None
        meta = body["metadata"]
        if resource == DATA_PRODUCTS:
            key = Key(meta["namespace"], meta["name"])
            if not request.path.endswith("/status"):
                self.report("spec written", key, request.title)
            elif before is not None and after is not None:
                self._check_status(key, before, after)
                self.mirrors.check_evidence(key, before, after)
            return
        key = Key(meta["namespace"], (meta.get("labels") or {}).get(names.LABEL_PRODUCT, ""))
        self._check_owner(key, before, after, replica)
        if resource == HTTP_ROUTES and after is not None and meta["name"] == key.name:
            self._check_route(key, before, after)
        if resource == DEPLOYMENTS:
            self._check_deployment(key, before, after)
        if resource == SERVICES and meta["name"] == key.name and self._is_there(key):
            self._check_selector(key, before, after)
        if resource == SERVICES and after is not None and self._is_there(key):
            self.mirrors.check_service(key, after, self.world.status(key))

    def _check_owner(self, key: Key, before: Body | None, after: Body | None, replica: str) -> None:
        for body in filter(None, (before, after)):
            owners = body["metadata"].get("ownerReferences") or ()
            if not any(owner["kind"] == names.KIND for owner in owners):
                name = body["metadata"]["name"]
                self.report("stranger", key, f"{body['kind']} {name} belongs to no product")
        lease = self.world.server.find(LEASES, self._lease(replica))
        holder = str(((lease or {}).get("spec") or {}).get("holderIdentity", ""))
        if lease is not None and holder and not holder.startswith(f"{replica}_"):
            self.report("two writers", key, f"{replica} writes while {holder} holds the lease")

    def _lease(self, replica: str) -> Key:
        settings = next(one.settings for one in self.world.replicas if one.name == replica)
        return Key(settings.namespace, settings.lease_name)

    def _check_route(self, key: Key, before: Body | None, after: Body) -> None:
        weights, was = weights_of(after), weights_of(before)
        self.mirrors.check_route(key, weights)
        if weights and sum(weights.values()) != 100:
            self.report("weights", key, f"the weights are {weights}")
        status = self.world.status(key) if self._is_there(key) else {}
        candidate = status.get("candidate") or {}
        name = f"{key.name}-{candidate.get('revision', '')}"
        if was and weights.get(name, 0) > was.get(name, 0):
            decided = candidate.get("weight", 0)
            promoting = candidate.get("phase") == "Promoting"
            if weights[name] != decided and not promoting:
                text = f"{name} gets {weights[name]} %, and {decided} % was decided"
                self.report("weight without decision", key, text)

    def _check_status(self, key: Key, before: Body, after: Body) -> None:
        was, now = ((one.get("status") or {}).get("candidate") or {} for one in (before, after))
        same = was.get("revision") == now.get("revision")
        raised = same and now.get("weight", 0) > was.get("weight", 0)
        decision = (after.get("status") or {}).get("decision") or {}
        earlier = (before.get("status") or {}).get("decision") or {}
        restored = now.get("restoring") and decision.get("type") == "Rollback"
        if raised and was.get("weight", 0) and decision.get("type") not in RAISES and not restored:
            text = (
                f"{was.get('weight', 0)} → {now['weight']} %, and the last decision is"
                f" {decision.get('type')} ({decision.get('reason')})"
            )
            self.report("step without decision", key, text)
        needs = needs_of_status(
            read_status_json(json.dumps(after.get("status") or {})), (key.namespace, key.name)
        )
        if needs and not ((after.get("status") or {}).get("summary") or {}).get("reason"):
            self.report("unnamed need", key, f"REASON is empty, and {needs[0].kind} needs a person")
        if now.get("phase") == "Promoting" and was.get("phase") != "Promoting":
            self._check_approval(key, after["spec"], decision)
        fresh = decision.get("type") in BY_DATA and decision != earlier
        of_pods = decision.get("reason") == "StableNotReady"  # which no measurement has to confirm
        requested = self.world.loop.time() - self.asked.get(key, float("-inf")) < 3600
        slos = after["spec"].get("slos")
        if fresh and slos and not (requested or of_pods) and self._is_blind(after["spec"]):
            self.report("decided blindly", key, f"{decision}")

    def _check_approval(self, key: Key, spec: Body, decision: Body) -> None:
        """What passed its canary isn't promoted without a person, where one is asked for."""
        manual = spec["rollout"].get("approval") == "Manual"
        passed = (decision.get("type"), decision.get("reason")) == ("Promote", "CanaryNotWorse")
        since = self.world.loop.time() - self.approved.get(key, float("-inf"))
        if manual and passed and since > APPROVED_DURATIONS * max(MAX_DURATION, duration_of(spec)):
            self.report("promoted without approval", key, f"{decision}")

    def _is_blind(self, spec: Body) -> bool:
        since, least = self.blind_since, max(BLIND_SECONDS, 2 * block_of(spec))
        return since is not None and self.world.loop.time() - since > least

    def _check_deployment(self, key: Key, before: Body | None, after: Body | None) -> None:
        if not self._is_there(key):
            return
        if after is not None:
            self._check_manifest(key, before, after)
        self._check_capacity(key, before, after)
        self._check_room(key, before, after)

    def _check_room(self, key: Key, before: Body | None, after: Body | None) -> None:
        """Versions that exchange their pods never have more of them than the product may have."""
        most = most_of(self.world.product(key))
        was, now = (0 if one is None else one["spec"].get("replicas", 1) for one in (before, after))
        touched_at = self.touched.get(key, float("-inf"))
        if not most or now <= was or self.world.loop.time() - touched_at <= RECENT_SECONDS:
            return
        pods = sum(
            deployment["spec"].get("replicas", 1)
            for deployment in self.world.server.all(DEPLOYMENTS, key.namespace)
            if deployment["metadata"]["labels"].get(names.LABEL_PRODUCT) == key.name
        )
        if pods > most:
            self.report("room", key, f"its versions have {pods} pods, and may have {most}")

    def _check_manifest(self, key: Key, before: Body | None, after: Body) -> None:
        """Report a Deployment whose manifest returns twice to an earlier one without an edit of the product."""
        name = Key(key.namespace, after["metadata"]["name"])
        if self._began.get(name) != self.touched.get(key):
            self._templates[name].clear()
            self._began[name] = self.touched.get(key, 0.0)
        text = json.dumps(after["spec"]["template"], sort_keys=True)
        known = self._templates[name]
        if known and known[-1] == text:
            return
        known.append(text)
        if known.count(text) > 2:
            self.report("two manifests", key, f"Deployment {name} goes back and forth")

    def _check_capacity(self, key: Key, before: Body | None, after: Body | None) -> None:
        """A version with a share of the traffic keeps the pods for it."""
        if before is None:
            return
        was, now = (
            (one or {"spec": {"replicas": 0}})["spec"].get("replicas", 1) for one in (before, after)
        )
        if now >= was:
            return
        if self.world.cluster.weights_of(key) is None:
            self._check_selected(key, before, replicas=now)
            return
        share = self._share(key, before["metadata"]["name"])
        rounding = 0.5 if most_of(self.world.product(key)) else 1e-9  # weights follow the pods
        needed = ceil((share - rounding) * self._base(key) / 100)
        if now < min(needed, was):
            text = (
                f"Deployment {before['metadata']['name']} goes from {was} to {now} pods with"
                f" {share} % of the traffic, which need {needed}"
            )
            self.report("capacity", key, text)

    def _check_selected(self, key: Key, deployment: Body, replicas: int) -> None:
        """Without a route: what the product's Service selects keeps the pods for all requests.

        A selector counts once the data plane follows it.
        """
        now, service = self.world.loop.time(), self.world.server.find(SERVICES, key)
        at, earlier = self._selectors.get(key, (0.0, None))
        if service is None or not self._is_selected(deployment, service):
            return
        follows = now - at >= FOLLOW_SECONDS or earlier is None
        selectors = [service] if follows else [service, earlier]
        has = min(self._ready(key, selector) for selector in selectors)
        lost = max(0, self._ready_of(deployment) - replicas)
        self._check_ready(
            key, has, has - lost, f"Deployment {deployment['metadata']['name']} has {replicas} pods"
        )

    def _check_selector(self, key: Key, before: Body | None, after: Body | None) -> None:
        """Without a route: a selector changes only to pods that are enough for all requests."""
        selectors = [one and one["spec"].get("selector") for one in (before, after)]
        if selectors[0] == selectors[1] or before is None:
            return
        self._selectors[key] = (self.world.loop.time(), before)
        if after is not None and self.world.cluster.weights_of(key) is None:
            has, gets = self._ready(key, before), self._ready(key, after)
            self._check_ready(key, has, gets, f"Service {key.name} selects {selectors[1]}")

    def _check_ready(self, key: Key, has: int, gets: int, change: str) -> None:
        needed = self._base(key)
        if gets < min(needed, has):
            text = f"{change}: all requests go to {gets} ready pods instead of {has}, and need {needed}"
            self.report("capacity", key, text)

    def _ready(self, key: Key, service: Body) -> int:
        """Ready pods that a Service selects."""
        return sum(
            self._ready_of(deployment)
            for deployment in self.world.server.all(DEPLOYMENTS, key.namespace)
            if self._is_selected(deployment, service)
        )

    def _ready_of(self, deployment: Body) -> int:
        name = Key(deployment["metadata"]["namespace"], deployment["metadata"]["name"])
        return sum(pod.ready for pod in self.world.cluster.workloads.of(name))

    def _is_selected(self, deployment: Body, service: Body) -> bool:
        selector = service["spec"].get("selector") or {}
        labels: Body = deployment["spec"]["template"]["metadata"]["labels"]
        return bool(selector) and selector.items() <= labels.items()

    def _share(self, key: Key, deployment: str) -> float:
        """Percent of the traffic that a Deployment gets by the gateway's data plane."""
        weights = self.world.cluster.weights_of(key)
        if weights is None:
            return 0.0
        return weights.get(deployment, 0) * 100 / (sum(weights.values()) or 1)

    def _base(self, key: Key) -> int:
        """Pods that the product wants; the fewest of the last two minutes."""
        now = self.world.loop.time()
        body = self.world.product(key)
        earlier = self._bases[key]
        recent = [count for at, count in earlier if now - at <= RECENT_SECONDS]
        older = [count for at, count in earlier if now - at > RECENT_SECONDS][-1:] if recent else []
        return min([base_of(body), *recent, *older])

    def _is_there(self, key: Key) -> bool:
        return self.world.server.find(DATA_PRODUCTS, key) is not None


def base_of(body: Body) -> int:
    """Pods that a product asks for at least."""
    serving = body["spec"].get("serving") or {}
    scaling = serving.get("autoscaling")
    base = int(scaling.get("minReplicas", 1) if scaling else serving.get("replicas", 1))
    most = most_of(body)
    return base if not most else max(1, min(base, most - ceil(most / 20)))


def most_of(body: Body) -> int:
    """Pods that both versions together may have, where they exchange them; else 0."""
    serving = body["spec"].get("serving") or {}
    if (body["spec"].get("rollout") or {}).get("capacity") != "Replace":
        return 0
    scaling = serving.get("autoscaling")
    return int(scaling["maxReplicas"] if scaling else serving.get("replicas", 1))


def weights_of(route: Body | None) -> dict[str, int]:
    """Weights of a route by backend."""
    rules = ((route or {}).get("spec") or {}).get("rules") or [{}]
    return {
        backend_ref["name"]: backend_ref.get("weight", 1)
        for backend_ref in rules[0].get("backendRefs") or ()
    }
