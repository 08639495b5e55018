"""A cluster in memory: controllers, kubelets, a gateway and users, which follow all writes."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks.virtual.api_server import ApiServer
from benchmarks.virtual.traffic import Counted, Traffic, Version
from benchmarks.virtual.trainings import Training, Trainings
from benchmarks.virtual.workloads import Pod, Quality, Workloads, stamp
from sluicegate.api import names
from sluicegate.kube.resources import (
    DEPLOYMENTS,
    GATEWAYS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    SERVICES,
    Key,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.virtual.callings import Calling
    from benchmarks.virtual.event_loop import VirtualLoop
    from benchmarks.virtual.variation import Variation

Body = dict[str, Any]

ACCEPT_SECONDS: Final = 1.0
"""Seconds until a gateway accepts a route."""
FOLLOW_SECONDS: Final = 2.0
"""Seconds until its data plane follows."""
COLLECT_SECONDS: Final = 1.0
"""Seconds until the children of a deleted object are collected."""
AUTOSCALER_SECONDS: Final = 15.0
FASTEST_MILLISECONDS: Final = 5
"""Duration of answers that aren't slow: the first bound of the request histogram."""
KNOWN_TRUTHS: Final = 0.5
"""Share of the predictions that get a label."""


class Effect(NamedTuple):
    """More wrong predictions of a product, in proportion to the traffic of another product's version.

    `wrong` is added while the bento of `upstream` has all of the traffic.
    """

    upstream: Key
    bento: str
    wrong: float


@dataclass
class Cluster:
    """Everything outside of the operator.

    Attributes
    ----------
    qualities : by bento (its image or URL, wherever it is kept); any other is good.
    rates : requests a second, by namespace and product.
    variations : how their traffic and answers vary, by the same; straight lines without.
    effects : effects of versions on other products, by the product that they degrade.
    callings : by product, how it calls another one by whose version its outcomes are counted.
    trainings : course of trainings, by namespace and product.
    trainers : functions from a Job to its course.
    shadows : functions from a Job of a shadow phase to its course.
    accepts : whether the gateway accepts routes. refusing : Gateways that accept none.
    """

    loop: VirtualLoop
    qualities: dict[str, Quality] = field(default_factory=dict)
    rates: dict[Key, float] = field(default_factory=lambda: defaultdict(lambda: 20.0))
    variations: dict[Key, Variation] = field(default_factory=dict)
    effects: dict[Key, tuple[Effect, ...]] = field(default_factory=dict)
    callings: dict[Key, Calling] = field(default_factory=dict)
    trainings: dict[Key, Training] = field(default_factory=lambda: defaultdict(Training))
    trainers: dict[Key, Callable[[Body], Training]] = field(default_factory=dict)
    shadows: dict[Key, Callable[[Body], Training]] = field(
        default_factory=lambda: defaultdict(lambda: lambda _: Training())
    )
    load: dict[Key, int] = field(default_factory=dict)
    """Pods that a product's autoscaler wants."""
    accepts: bool = True
    refusing: frozenset[str] = frozenset()
    pairs: bool = True
    """Whether services return tokens with both predictions of a mirrored request."""
    traffic: Traffic = field(default_factory=Traffic)
    _weights: dict[Key, dict[str, int]] = field(default_factory=dict)
    """Weights of routes in the data plane."""
    _owned: dict[str, set[tuple[Resource, Key]]] = field(default_factory=lambda: defaultdict(set))
    _uids: set[str] = field(default_factory=set)
    _desks: dict[Key, Counted] = field(default_factory=dict)
    """Pods of a product together: each receives labels of any version's predictions."""

    def __post_init__(self) -> None:
        """Create a Gateway in service."""
        self.server = ApiServer(self.loop.wall)
        self.workloads = Workloads(self.server, self.loop.wall, self.quality_of, self._recount)
        self.jobs = Trainings(self.server, self.loop.wall, self._plan)
        self.server.on_change.append(self._changed)
        self.server.namespaces.add("gateway")
        self.add_gateway("web")

    # ---- what happens to it -------------------------------------------------------------------
    def set_quality(self, bento: str, quality: Quality) -> None:
        """Change the behaviour of a version from now on."""
        self.qualities[digest_of(bento)] = quality
        for body in list(self.server.all(DEPLOYMENTS)):
            if digest_of(bento_of(body)) == digest_of(bento):
                meta = body["metadata"]
                self._recount(meta["namespace"], meta["labels"].get(names.LABEL_PRODUCT, ""))

    def set_rate(self, product: Key, rate: float) -> None:
        """Set the requests a second of a product."""
        self.rates[product] = rate
        self._recount(*product)

    def add_gateway(self, name: str) -> Key:
        """Create a Gateway of the namespace `gateway` in service, unless it exists."""
        key = Key("gateway", name)
        if self.server.find(GATEWAYS, key) is None:
            spec = {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
            meta = {"namespace": key.namespace, "name": key.name}
            self.server.create(GATEWAYS, {"metadata": meta, "spec": spec})
            programmed = {"type": "Programmed", "status": "True", "observedGeneration": 1}
            self.server.set_status(GATEWAYS, key, {"conditions": [programmed]})
        self._accept_all()
        return key

    def remove_gateway(self, name: str) -> None:
        """Delete a Gateway."""
        self.server.delete(GATEWAYS, Key("gateway", name))
        self._accept_all()

    def refuse_routes_of(self, *gateways: str) -> None:
        """Set the Gateways that accept no route; all others accept each."""
        self.refusing = frozenset(gateways)
        self._accept_all()

    def quality_of(self, deployment: Body) -> Quality:
        """Return the behaviour of a Deployment's version."""
        return self.qualities.get(digest_of(bento_of(deployment)), Quality())

    def pods_of(self, product: Key) -> list[Pod]:
        """Return the pods that serve a product."""
        return [
            pod
            for pod in self.workloads.pods.values()
            if pod.key.namespace == product.namespace
            and pod.labels.get(names.LABEL_PRODUCT) == product.name
        ]

    def weights_of(self, product: Key) -> dict[str, int] | None:
        """Return the weights in the gateway's data plane; None without a route."""
        return self._weights.get(product)

    def shares_of(self, product: Key) -> dict[Version, float]:
        """Return the share of the requests of each version with a ready pod."""
        shares: dict[Version, float] = {}
        for deployment, share in self._shares(product, self._ready(product)).items():
            body = self.server.find(DEPLOYMENTS, deployment)
            if body is not None:
                shares[_version_of(product, body)] = share
        return shares

    def mirrors_of(self, product: Key) -> dict[Version, Version]:
        """Return the versions whose requests are mirrored, each with the target version."""
        ready = self._ready(product)
        mirrors: dict[Version, Version] = {}
        for deployment in ready:
            body = self.server.find(DEPLOYMENTS, deployment)
            other = None if body is None else self._mirrored_to(body, ready)
            if body is not None and other is not None:
                mirrors[_version_of(product, body)] = _version_of(product, other)
        return mirrors

    def _plan(self, job: Body) -> Training:
        meta = job["metadata"]
        key = Key(meta["namespace"], meta["labels"][names.LABEL_PRODUCT])
        if names.ANNOTATION_TRIGGER not in meta.get("annotations", {}):
            return self.shadows[key](job)
        trainer = self.trainers.get(key)
        return self.trainings[key] if trainer is None else trainer(job)

    # ---- what follows what is written ---------------------------------------------------------
    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        body = after or before
        assert body is not None
        meta = body["metadata"]
        key = Key(meta.get("namespace", ""), meta["name"])
        self._follow_owners(resource, key, before, after)
        if resource == DEPLOYMENTS:
            self.workloads.changed(before, after)
        elif resource == JOBS:
            self.jobs.changed(before, after)
        elif resource == HTTP_ROUTES and (before or {}).get("spec") != (after or {}).get("spec"):
            self.loop.call_later(ACCEPT_SECONDS, self._accept, key)
            self.loop.call_later(FOLLOW_SECONDS, self._route, key)
        elif resource == SERVICES:
            self.loop.call_later(FOLLOW_SECONDS, self._recount_of, body)
        elif resource == HORIZONTAL_POD_AUTOSCALERS and before is None:
            self.loop.call_later(AUTOSCALER_SECONDS, self._autoscale, key)

    def _follow_owners(
        self, resource: Resource, key: Key, before: Body | None, after: Body | None
    ) -> None:
        if before is None and after is not None:
            self._uids.add(after["metadata"]["uid"])
            for owner in after["metadata"].get("ownerReferences") or ():
                self._owned[owner["uid"]].add((resource, key))
                if owner["uid"] not in self._uids:
                    self.loop.call_later(COLLECT_SECONDS, self._collect, owner["uid"])
        elif after is None and before is not None:
            uid = before["metadata"]["uid"]
            self._uids.discard(uid)
            self.loop.call_later(COLLECT_SECONDS, self._collect, uid)

    def _collect(self, uid: str) -> None:
        """Delete the children of a deleted object."""
        for resource, key in sorted(self._owned.pop(uid, ()), key=str):
            body = self.server.find(resource, key)
            owners = (body or {}).get("metadata", {}).get("ownerReferences") or ()
            if any(one["uid"] == uid for one in owners):
                self.server.delete(resource, key)

    def _accept(self, key: Key) -> None:
        route = self.server.find(HTTP_ROUTES, key)
        if route is None or not self.accepts:
            return
        conditions = [
            {
                "type": kind, "status": "True", "reason": kind, "message": "",
                "observedGeneration": route["metadata"]["generation"],
                "lastTransitionTime": stamp(self.loop.wall()),
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]  # fmt: skip
        before = (route.get("status") or {}).get("parents") or ()
        parents = [
            {
                "parentRef": one,
                "controllerName": "virtual/gateway",
                "conditions": _refused(conditions) if one["name"] in self.refusing else conditions,
            }
            for one in route["spec"].get("parentRefs") or ()
            if self._is_gateway(one, key.namespace)
        ]
        references = [one["parentRef"] for one in parents]
        # The controller of a deleted Gateway leaves its last status.
        parent_refs = route["spec"].get("parentRefs") or ()
        parents += [
            parent
            for parent in before
            if parent["parentRef"] in parent_refs and parent["parentRef"] not in references
        ]
        self.server.set_status(HTTP_ROUTES, key, {"parents": parents})

    def _is_gateway(self, parent: Body, namespace: str) -> bool:
        key = Key(parent.get("namespace", namespace), parent["name"])
        return self.server.find(GATEWAYS, key) is not None

    def set_accepts(self, *, accepts: bool) -> None:
        """Set whether the gateway accepts new routes."""
        self.accepts = accepts
        self._accept_all()

    def _accept_all(self) -> None:
        for body in list(self.server.all(HTTP_ROUTES)):
            key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
            self._accept(key)
            self._route(key)

    def _route(self, key: Key) -> None:
        """Update the data plane by a route."""
        route = self.server.find(HTTP_ROUTES, key)
        if route is None:
            self._weights.pop(key, None)
        elif self.accepts:
            rules = route["spec"].get("rules") or [{}]
            self._weights[key] = {
                one["name"]: one.get("weight", 1) for one in rules[0].get("backendRefs") or ()
            }
        self._recount(*key)

    def _autoscale(self, key: Key) -> None:
        body = self.server.find(HORIZONTAL_POD_AUTOSCALERS, key)
        if body is None:
            return
        self.loop.call_later(AUTOSCALER_SECONDS, self._autoscale, key)
        spec = body["spec"]
        target = Key(key.namespace, spec["scaleTargetRef"]["name"])
        deployment = self.server.find(DEPLOYMENTS, target)
        if deployment is None or not deployment["spec"].get("replicas", 1):
            return
        replicas = self.load.get(key, deployment["spec"].get("replicas", 1))
        replicas = min(max(replicas, spec["minReplicas"]), spec["maxReplicas"])
        if replicas != deployment["spec"].get("replicas", 1):
            self.server.write(
                DEPLOYMENTS,
                target,
                {"spec": {"replicas": replicas}},
                manager="kube-controller-manager",
                subresource="scale",
            )

    # ---- who gets the requests ----------------------------------------------------------------
    def _recount_of(self, service: Body) -> None:
        labels = service["metadata"].get("labels") or {}
        self._recount(service["metadata"]["namespace"], labels.get(names.LABEL_PRODUCT, ""))

    def _recount(self, namespace: str, product: str) -> None:
        """Set the rates of each version's answers from now on."""
        if not product:
            return
        now, key = self.loop.time(), Key(namespace, product)
        ready = self._ready(key)
        shares = self._shares(key, ready)
        counted_versions: set[Version] = set()
        for deployment, pods in ready.items():
            body = self.server.find(DEPLOYMENTS, deployment)
            if body is None:
                continue
            version = _version_of(key, body)
            counted_versions.add(version)
            service = body["metadata"]["annotations"].get(names.ANNOTATION_SERVICE, "")
            counted = self.traffic.versions.get(version) or self._counted(version, service)
            rate = self.rates[key] * shares.get(deployment, 0.0)
            quality = self._affected(key, self.quality_of(body))
            variation = self.variations.get(key)
            labelled = KNOWN_TRUTHS if variation is None else variation.labelled
            events = _events(rate, quality, labelled)
            events |= dict(self._by_upstream(key, body, events["answered"], labelled))
            if mirrored_to := self._mirrored_to(body, ready):
                events |= dict(self._pairs(events, quality, body, mirrored_to))
            counted.set_rates(now, pods, events)
            counted.waited = quality.waited
            counted.secretless = quality.secretless
        for version, counted in self.traffic.versions.items():
            if version[:2] == key and version not in counted_versions:
                counted.set_rates(now, 0, {})
        if key in self._desks:
            self._desks[key].set_rates(now, sum(ready.values()), {})
        for dependent in self._callers(key):
            self._recount(*dependent)

    def _callers(self, key: Key) -> set[Key]:
        """Return the products that depend on the versions of a product."""
        degraded = {
            dependent
            for dependent, effects in self.effects.items()
            if any(effect.upstream == key for effect in effects)
        }
        return degraded | {one for one, calling in self.callings.items() if calling.upstream == key}

    def _by_upstream(
        self, key: Key, deployment: Body, answered: float, labelled: float
    ) -> Iterator[tuple[str, float]]:
        """Yield the outcomes of a version by the version of its upstream, while that has two."""
        calling = self.callings.get(key)
        if calling is None:
            return
        quality, wrong = self.quality_of(deployment), {}
        for other, share in self._shares(calling.upstream, self._ready(calling.upstream)).items():
            body = self.server.find(DEPLOYMENTS, other)
            if body is None or not share:
                continue
            extra = sum(
                effect.wrong
                for effect in self.effects.get(key, ())
                if effect.upstream == calling.upstream
                and digest_of(effect.bento) == digest_of(bento_of(body))
            )
            version = _version_of(calling.upstream, body)
            wrong[version] = share, min(quality.wrong + extra, 1.0)
        routed = f"{calling.upstream.name}{names.DRAW_ROUTE_SUFFIX}"
        if self.server.find(HTTP_ROUTES, Key(calling.upstream.namespace, routed)) is None:
            calling = replace(calling, draws=False)
        yield from calling.events(answered, labelled, wrong)

    def _affected(self, key: Key, quality: Quality) -> Quality:
        """Return the behaviour of a version on the answers of the products that it calls."""
        wrong = quality.wrong
        for effect in self.effects.get(key, ()):
            shares = self._shares(effect.upstream, self._ready(effect.upstream))
            wrong += effect.wrong * sum(
                share
                for deployment, share in shares.items()
                if (body := self.server.find(DEPLOYMENTS, deployment)) is not None
                and digest_of(bento_of(body)) == digest_of(effect.bento)
            )
        return quality if wrong == quality.wrong else replace(quality, wrong=min(wrong, 1.0))

    def _counted(self, version: Version, service: str) -> Counted:
        """Return the counters of a new version."""
        key = Key(version.namespace, version.product)
        counted = self.traffic.versions[version] = Counted(service)
        if key in self.variations:
            counted.variation = self.variations[key], f"{version.version}/{version.revision}"
            counted.desk = self._desks.setdefault(key, Counted(service))
        return counted

    def _ready(self, product: Key) -> dict[Key, int]:
        """Return the ready pods of a product, by Deployment."""
        ready: dict[Key, int] = defaultdict(int)
        for pod in self.pods_of(product):
            ready[pod.deployment] += pod.ready
        return ready

    def _mirrored_to(self, deployment: Body, ready: dict[Key, int]) -> Body | None:
        """Return the Deployment of another version to which requests are mirrored; None without one."""
        mirror = _mirror_of(deployment)
        if mirror is None or not self.pairs:
            return None
        name, namespace, *_ = mirror["url"].removeprefix("http://").split(".")
        service = self.server.find(SERVICES, Key(namespace, name))
        selector = (service or {}).get("spec", {}).get("selector") or {}
        for key, pods in ready.items():
            chosen = pods and selector.items() <= self.workloads.of(key)[0].labels.items()
            if selector and chosen and key.name != deployment["metadata"]["name"]:
                return self.server.find(DEPLOYMENTS, key)
        return None

    def _pairs(
        self, events: dict[str, float], quality: Quality, deployment: Body, other: Body
    ) -> Iterator[tuple[str, float]]:
        """Yield outcomes of both versions, whose errors are independent: `correct/wrong>v2/0123`.

        They are those of the requests that the other version answers in time.
        """
        labels = other["spec"]["template"]["metadata"]["labels"]
        name = f"{labels[names.LABEL_VERSION]}/{labels[names.LABEL_REVISION]}"
        mirror = _mirror_of(deployment)
        assert mirror is not None
        shadow = self.quality_of(other)
        in_time = mirror["timeoutMilliseconds"] >= FASTEST_MILLISECONDS
        answered = (1 - shadow.failed - shadow.refused) * (1 - shadow.slow) * in_time
        mirrored = (events["correct"] + events["wrong"]) * answered * mirror["percent"] / 100
        for outcome, share in (("correct", 1 - quality.wrong), ("wrong", quality.wrong)):
            for answer, part in (("correct", 1 - shadow.wrong), ("wrong", shadow.wrong)):
                yield f"{outcome}/{answer}>{name}", mirrored * share * part

    def _shares(self, key: Key, ready: dict[Key, int]) -> dict[Key, float]:
        """Return shares of the requests, by Deployment; those to a version without pods fail uncounted."""
        weights = self._weights.get(key)
        if weights is not None:
            total = sum(weights.values()) or 1
            by_name = {Key(key.namespace, name): weight / total for name, weight in weights.items()}
            return {one: by_name.get(one, 0.0) for one, pods in ready.items() if pods}
        service = self.server.find(SERVICES, key)
        if service is None:
            return {}
        selector = service["spec"].get("selector") or {}
        picked = {
            deployment: pods
            for deployment, pods in ready.items()
            if pods and selector.items() <= self.workloads.of(deployment)[0].labels.items()
        }
        total = sum(picked.values())
        return {one: pods / total for one, pods in picked.items()}


def _refused(conditions: list[Body]) -> list[Body]:
    """Return the conditions of a route that a Gateway doesn't accept."""
    return [
        one | {"status": "False", "reason": "NotAllowedByListeners"}
        if one["type"] == "Accepted"
        else one
        for one in conditions
    ]


def _version_of(product: Key, deployment: Body) -> Version:
    """Return the version of a Deployment."""
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    version, revision = (
        labels.get(name, "") for name in (names.LABEL_VERSION, names.LABEL_REVISION)
    )
    return Version(*product, version, revision)


def _mirror_of(deployment: Body) -> Body | None:
    """Return the mirroring settings of its pods; None without any."""
    (server,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value", "") for each in server.get("env") or ()}
    text = variables.get("SLUICEGATE_MIRROR")
    mirror: Body | None = json.loads(text) if text else None
    return mirror


def bento_of(deployment: Body) -> str:
    """Return the bento of a Deployment."""
    bento: str = (deployment["metadata"].get("annotations") or {}).get(names.ANNOTATION_IMAGE, "")
    return bento


def digest_of(bento: str) -> str:
    """Return the identity of a bento, independent of its location."""
    return bento.rpartition("sha256:")[2]


def _events(rate: float, quality: Quality, labelled: float) -> dict[str, float]:
    """Return events a second; `labelled` is the share of the predictions that get a label."""
    answered = rate * (1 - quality.failed - quality.refused)
    return {
        "requests": rate,
        "failed": rate * quality.failed,
        "refused": rate * quality.refused,
        "answered": answered,
        "slow": answered * quality.slow,
        "correct": answered * labelled * (1 - quality.wrong),
        "wrong": answered * labelled * quality.wrong,
        **dict(_market_events(answered * labelled, quality)),
    }


def _market_events(labelled: float, quality: Quality) -> Iterator[tuple[str, float]]:
    """Yield outcomes by market: `good@FR`, `bad@FR`."""
    markets = quality.by_market
    shares = quality.market_shares or (1 / len(markets),) * len(markets) if markets else ()
    for (market, wrong), share in zip(markets, shares, strict=True):
        yield f"good@{market}", labelled * share * (1 - wrong)
        yield f"bad@{market}", labelled * share * wrong
