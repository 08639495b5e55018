"""A tiny cluster in memory that follows the layouts of one product, a block at a time.

Pods become ready one block after they are asked for, the gateway takes a route one block after
it is written, and requests go where its weights say. Nothing decides here: `make_plan` does, from
what this world shows, and `report` writes the status, which goes through JSON each time, as it
does when the operator restarts.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from math import ceil
from typing import TYPE_CHECKING, Any, Self

from sluicegate.api import names
from sluicegate.api.product import DataProduct, read_status
from sluicegate.api.status import DataProductStatus
from sluicegate.kube.resources import Key
from sluicegate.manifests.names import version_name
from sluicegate.manifests.plan import spec_version
from sluicegate.manifests.version_annotations import memory_annotations
from sluicegate.policy.model.observed import (
    NO_OTHER_PRODUCTS,
    Facts,
    ManualRequest,
    Observed,
    Portfolio,
)
from sluicegate.policy.model.terms import terms_of
from sluicegate.reconcile.decide.planner import Plan, make_plan
from sluicegate.reconcile.decide.status_recovery import restored_status
from sluicegate.reconcile.live.children import DeploymentRecord, ParentStatus, RouteRecord
from sluicegate.reconcile.live.failure_attribution import is_down
from sluicegate.reconcile.live.pods import PodState
from sluicegate.reconcile.observe.invalid_spec import with_reused_version
from sluicegate.reconcile.observe.observation import Observation
from sluicegate.reconcile.report.status import report
from sluicegate.reconcile.report.status_due import status_due, verified_seconds
from sluicegate.reconcile.report.traffic_status import with_first_split
from sluicegate.reconcile.traffic.allocation import allocation_of
from sluicegate.reconcile.traffic.split_verification import verify_acceptance, verify_share
from sluicegate.stats.counts import Count
from tests.support.decisions.rollout_counts import Counted, RolloutCounts

if TYPE_CHECKING:
    from sluicegate.api.names import DecisionReason
    from sluicegate.api.versions import VersionBase
    from sluicegate.policy.model.observed import TrainingResult
    from sluicegate.reconcile.traffic.allocation import Allocation, Placement

BLOCK = 60
START = 1_767_225_600
NAME = "search"
RUNTIME = f"registry.example/runtime@sha256:{'d' * 64}"
GATEWAY = {"parentRefs": [{"name": "web", "namespace": "gateway"}], "path": "/search"}
ACCURACY = {
    "name": "accuracy",
    "indicator": {"outcomes": {}},
    "objective": "0.80",
    "maxDrop": "0.05",
}


def image(digit: str) -> str:
    return f"registry.example/bentos/search@sha256:{digit * 64}"


def document(**spec: Any) -> dict[str, Any]:
    """Return a DataProduct as the API holds it.

    Spec's other fields by keyword, None leaves one out.
    """
    fields: dict[str, Any] = {
        "owner": "group:default/catalog",
        "model": {"bento": {"image": image("a"), "version": "v1", "service": "Search"}},
        "serving": {
            "runtimeImage": RUNTIME,
            "replicas": 4,
            "feedback": {"secretRef": {"name": "search-feedback"}},
        },
        "route": GATEWAY,
        "slos": [ACCURACY],
        "analysis": {"blockSeconds": BLOCK},
        "rollout": {"steps": [5, 25, 50], "maxDurationSeconds": 86_400},
    }
    fields.update(spec)
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {
            "name": NAME,
            "namespace": "catalog",
            "uid": "5b1c0f0e-0000-4000-8000-000000000001",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {name: value for name, value in fields.items() if value is not None},
    }


@dataclass
class Pods:
    """A version's Deployment: numbers of desired, existing and ready pods."""

    version: VersionBase
    desired: int = 0
    there: int = 0
    ready: int = 0
    moved: int = START
    scaled: bool = False


@lru_cache(maxsize=64)
def _parsed(body: str, requests: tuple[tuple[str, str], ...]) -> DataProduct:
    document = json.loads(body)
    document["metadata"]["annotations"] = dict(requests)
    return DataProduct.parse(document)


@lru_cache(maxsize=64)
def _read(status: str) -> DataProductStatus:
    return read_status(json.loads(status))


@dataclass
class World:
    """One product and its cluster.

    Attributes
    ----------
    bad : share of wrong answers by version, or by revision. refused : share of requests answered 4xx by version,
    of which no outcome becomes known; nothing counts them while it is empty. broken : versions whose pods never become ready.
    slow : versions whose pods aren't ready yet. problem : why nothing can be measured.
    load : pods that all requests need; an autoscaler gives stable those of its share.
    sent : share that the gateway really gives to a version, whatever the weights are.
    term : since when this replica leads.
    rate : requests a block. seen : whether requests are counted. accepts : the gateway's word.
    """

    spec: dict[str, Any] = field(default_factory=document)
    rate: int = 4000
    bad: dict[str, float] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    broken: dict[str, PodState] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    sent: dict[str, float] = field(default_factory=dict)
    load: float = 0.0
    default_runtime: str = RUNTIME
    problem: DecisionReason | None = None
    is_measured: bool = True
    accepts: bool = True
    requests: dict[str, str] = field(default_factory=dict)
    training: TrainingResult | None = None
    facts: Facts = field(default_factory=Facts)
    portfolio: Portfolio = NO_OTHER_PRODUCTS
    now: int = START
    term: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, Pods] = field(default_factory=dict)
    written: dict[str, int] | None = None
    accepted_weights: dict[str, int] | None = None
    selected: str | None = None
    target: Placement | None = None
    counts: RolloutCounts = field(default_factory=lambda: RolloutCounts(BLOCK))
    history: list[Plan] = field(default_factory=list)
    statuses: list[DataProductStatus] = field(default_factory=list)
    writes: int = 0

    def __deepcopy__(self, memo: object) -> Self:
        """Return a copy that shares immutable values."""
        other = object.__new__(type(self))
        for name, value in vars(self).items():
            copied = value.copy() if isinstance(value, dict | list | set) else value
            setattr(other, name, copied)
        other.spec, other.status = deepcopy(self.spec), deepcopy(self.status)
        other.pods = {key: replace(one) for key, one in self.pods.items()}
        other.counts = RolloutCounts(BLOCK, self.counts.blocks.copy())
        return other

    # ---- reading ------------------------------------------------------------------------
    @property
    def product(self) -> DataProduct:
        return _parsed(
            json.dumps({**self.spec, "status": self.status}), tuple(self.requests.items())
        )

    @property
    def current(self) -> DataProductStatus:
        return _read(json.dumps(self.status))

    @property
    def serving(self) -> str:
        """Name of the stable version."""
        stable = self.current.stable
        return stable.version if stable else ""

    def condition(self, kind: str) -> tuple[str, str] | None:
        """Return status and reason of a condition; None when it isn't there."""
        conditions = [condition for condition in self.current.conditions if condition.type == kind]
        return (conditions[0].status, conditions[0].reason) if conditions else None

    def stalled(self) -> str:
        """Return why the spec can't be applied, before anything is observed; empty if it can."""
        stalled = with_reused_version(self.observation()).stalled
        return stalled.reason if stalled else ""

    def share(self, revision: str) -> float:
        """Return the share of requests to a version now."""
        if self.accepted_weights and self.pods[revision].version.version in self.sent:
            return self.sent[self.pods[revision].version.version]
        if self.accepted_weights:
            total = sum(self.accepted_weights.values())
            return (
                self.accepted_weights.get(version_name(NAME, revision), 0) / total if total else 0.0
            )
        if self.spec["spec"].get("route"):
            return 0.0
        chosen = [one for key, one in self.pods.items() if self.selected in (None, key)]
        ready = sum(one.ready for one in chosen)
        own = self.pods[revision].ready if self.selected in (None, revision) else 0
        return own / ready if ready and self.written is not None else 0.0

    # ---- going on -----------------------------------------------------------------------
    def run(self, blocks: int = 1) -> World:
        """Let blocks pass, each followed by steps until nothing more is to be written."""
        for _ in range(blocks):
            self.pass_block()
            self.settle()
        return self

    def until(self, holds: Any, *, most: int = 400) -> World:
        """Let blocks pass until something holds."""
        for _ in range(most):
            if holds(self):
                return self
            self.run()
        message = f"it never held; candidate {self.current.candidate!r}, {self.current.decision}"
        raise AssertionError(message)

    def settle(self) -> None:
        """Run passes until one changes nothing. Raises AssertionError if none does."""
        before = (self.status, self._cluster())
        for _ in range(12):
            self.step()
            after = (self.status, self._cluster())
            if before == after:
                return
            before = after
        raise AssertionError(f"steps without end: {self.history[-1].events}")

    def step(self) -> Plan:
        """Run one pass: status is written before the cluster, as in the reconciler."""
        observation = self.observation()
        step = make_plan(observation)
        observation = with_first_split(observation, step)
        after = status_due(
            observation.product.status,
            report(observation, step),
            now=self.now,
            refresh_seconds=0,
            verified_seconds=verified_seconds(observation),
        )
        document = json.loads(text := json.dumps(after.to_dict()))
        if document != self.status:
            DataProductStatus.model_validate_json(text, by_name=False)  # as the CRD would
            self.writes += 1
            self.status = document
        self.history.append(step)
        self.statuses.append(after)
        if not observation.is_frozen(step.status):
            self._follow(step.allocation)
        return step

    def lose_status(self) -> World:
        """Delete the status; the next pass recovers it from the cluster."""
        self.status = {}
        product = self.product
        live = {key: self._deployment(key, one) for key, one in self.pods.items()}
        desired = spec_version(product, product.spec.serving.runtime_image or self.default_runtime)
        restored = restored_status(product, desired, live, self._route(), now=self.now)
        assert restored is not None, "nothing was restored"
        self.status = json.loads(json.dumps(restored.to_dict()))
        return self

    def observation(self) -> Observation:
        product = self.product
        desired = spec_version(product, product.spec.serving.runtime_image or self.default_runtime)
        live = {key: self._deployment(key, one) for key, one in self.pods.items()}
        route = self._route()
        counted = self.counts.since_last_change(product.status)
        return Observation(
            product=product,
            terms=terms_of(product, hour_seconds=12 * BLOCK),
            desired=desired,
            now=self.now,
            live=live,
            route=route,
            selected=None if product.status.stable is None else self.selected or "",
            pods=tuple(
                replace(state, revision=key)
                for key, one in self.pods.items()
                if one.desired and (state := self.broken.get(one.version.version))
            ),
            split=self._split(product, route, counted),
            requests=counted,
            observed=Observed(
                block=self.now // BLOCK,
                problem=self.problem,
                series=self.counts.series(product.status),
                canary_blocks=self.counts.canary_blocks(product.status),
                canary_block_seconds=BLOCK,
                desired=desired.release,
                training=self.training,
                facts=self._facts(product, live),
                portfolio=self.portfolio,
                requests=tuple(ManualRequest(*one) for one in self.requests.items()),
            ),
            first_start=START,
            term=self.term,
        )

    # ---- the cluster ----------------------------------------------------------------------
    def _cluster(self) -> object:
        pods = {key: one.desired for key, one in self.pods.items()}
        return pods, self.written, self.selected

    def _follow(self, allocation: Allocation) -> None:
        desired = {placement.version.revision: placement for placement in allocation.placements}
        for key in [key for key in self.pods if key not in desired]:
            del self.pods[key]
        for key, placement in desired.items():
            pods = self.pods.setdefault(key, Pods(placement.version))
            pods.version = placement.version
            if not (placement.autoscaled and pods.scaled and placement.replicas and pods.desired):
                pods.desired = max(placement.replicas, pods.desired if placement.autoscaled else 0)
                pods.scaled = False
            pods.there, pods.ready = min(pods.there, pods.desired), min(pods.ready, pods.desired)
        self.target = allocation.placements[0] if allocation.placements else None
        self.selected = allocation.selected
        if allocation.weights:
            self.written = {version_name(NAME, key): share for key, share in allocation.weights}
        elif not self.spec["spec"].get("route") and self.current.stable:
            self.written = {}

    def count(self, version: str, kind: str) -> int:
        """Return the number of pods of a version: `desired`, `there` or `ready`."""
        counts = (pod for pod in self.pods.values() if pod.version.version == version)
        return sum(getattr(count, kind) for count in counts)

    def break_down(self, version: str) -> World:
        """Let each pod of a version crash repeatedly from now on."""
        self.broken[version] = broken_pod()
        for pods in self.pods.values():
            if pods.version.version == version:
                pods.ready, pods.moved = 0, self.now
        return self

    def _facts(self, product: DataProduct, live: dict[str, DeploymentRecord]) -> Facts:
        stable = product.status.stable
        if stable is None:
            return self.facts
        state = self.broken.get(stable.version)
        down = is_down(
            live.get(stable.revision),
            (state,) if state is not None else (),
            now=self.now,
            deadline_seconds=product.spec.serving.progress_deadline_seconds,
        )
        return replace(self.facts, stable_down=down)

    def _scale(self) -> None:
        """Scale stable by the load of its pods, as an autoscaler does."""
        if not self.load or self.target is None:
            return
        spec = self.product.spec.serving.autoscaling
        if spec is None:
            return
        revision = self.target.version.revision
        pods = self.pods[revision]
        if pods.desired:
            desired = max(ceil(self.load * self.share(revision)), spec.min_replicas)
            pods.desired = min(max(desired, self.target.floor), spec.max_replicas)
            pods.there, pods.ready = min(pods.there, pods.desired), min(pods.ready, pods.desired)
            pods.scaled = True

    def pass_block(self) -> None:
        """Let a block pass and count its requests, without a pass of the operator."""
        self.now += BLOCK
        self._scale()
        self.counts.add(
            self.now // BLOCK * BLOCK,
            {key: self._count(key, one) for key, one in self.pods.items()},
            is_measured=self.is_measured,
        )
        for pods in self.pods.values():
            if pods.version.version not in {*self.broken, *self.slow}:
                pods.moved = pods.moved if pods.ready == pods.desired else self.now
                pods.there = pods.ready = pods.desired
        if self.accepts:
            self.accepted_weights = self.written

    def _count(self, key: str, pods: Pods) -> Counted:
        """Return the outcomes of a version in a block; refused requests have none."""
        version = pods.version.version
        refused = self.refused.get(version, 0)
        requests = self.rate * self.share(key)
        answered = round(requests * (1 - refused))
        bad = round(answered * self.bad.get(key, self.bad.get(version, 0.1)))
        errors = None
        if self.refused:
            errors = Count(round(round(requests) * refused), round(requests))
        return Counted(Count(bad, answered), errors)

    def _split(self, product: DataProduct, route: RouteRecord | None, counted: Any) -> Any:
        status = product.status
        if product.spec.route is None or status.stable is None:
            return None
        allocation = allocation_of(product, status, stable_pods=product.spec.serving.base_replicas)
        weights = {version_name(NAME, key): weight for key, weight in allocation.weights}
        accepted = verify_acceptance(route, weights, product.spec.route.parent_refs)
        candidate = status.candidate
        weight = dict(allocation.weights).get(candidate.revision, 0) if candidate else 0
        since = candidate.shares[-1].start_time if candidate and candidate.shares else 0
        return verify_share(accepted, weight, counted, seconds=self.now - since)

    def _route(self) -> RouteRecord | None:
        if not self.written:
            return None
        in_force = self.accepted_weights == self.written
        return RouteRecord(
            **self._identity(NAME),
            generation=2,
            weights=tuple(self.written.items()),
            parents=(
                ParentStatus("gateway", "web", "", self.accepts, True, 2 if in_force else 1, ""),
            ),
        )

    def _deployment(self, key: str, pods: Pods) -> DeploymentRecord:
        return DeploymentRecord(
            **self._identity(version_name(NAME, key)),
            labels=((names.LABEL_REVISION, key),),
            annotations=tuple(memory_annotations(pods.version).items()),
            current=True,
            replicas=pods.desired,
            ready=pods.ready,
            total=pods.there,
            deadline_exceeded=False,
            scaled=pods.scaled,
            moved_at=pods.moved,
        )

    def _identity(self, name: str) -> dict[str, Any]:
        uid = self.spec["metadata"]["uid"]
        return {
            "key": Key("catalog", name),
            "parent": Key("catalog", NAME),
            "uid": name,
            "version": 1,
            "owner": uid,
            "fingerprint": "",
        }

    # ---- what a person does -----------------------------------------------------------------
    def push(self, digit: str, version: str) -> World:
        """Set another model in the spec."""
        self.spec["spec"]["model"]["bento"].update(image=image(digit), version=version)
        self.spec["metadata"]["generation"] += 1
        return self


def broken_pod(text: str = "container main ended with 1") -> PodState:
    """Return a pod that never becomes ready."""
    return PodState(
        revision="",
        job_uid="",
        ready=False,
        out_of_memory=False,
        problem=text,
        unrecoverable=True,
        mismatch=False,
        misnamed=False,
        unmounted=False,
        is_absent=False,
        training_exit=None,
    )


def serving_world(blocks: int, **spec: Any) -> World:
    """Return a world whose first version has served for this many blocks.

    One of its own for each caller.
    """
    return deepcopy(_serving_world(blocks, json.dumps(spec)))


@cache
def _serving_world(blocks: int, spec: str) -> World:
    world = World(spec=document(**json.loads(spec)))
    return world.until(lambda world: world.serving == "v1").run(blocks)
