"""What must hold all the time once no fault is there: requests reach pods, and each wait has a name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import digest_of
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DATA_PRODUCTS, GATEWAYS, Key, Resource
from sluicegate.views.needs import needs_of
from tests.support.lives.goal import identity_of
from tests.support.lives.products import block_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.virtual.operator import World

Body = dict[str, Any]

LOOK_SECONDS: Final = 300.0
"""Seconds between two checks of all products."""
CALM_SECONDS: Final = 1800.0
"""After a fault, until its consequences are over."""
REACTION: Final = 5
"""Blocks within which the operator reacts, at the least half an hour."""
IDLE_WRITES: Final = 1
"""Writes of a status that a product may have in three blocks in which it is at its goal."""


@dataclass
class Promises:
    """Checks all products every few minutes.

    Attributes
    ----------
    report : takes the rule that was broken, whose product, and what was seen.
    products : all that there are.
    """

    world: World
    report: Callable[[str, Key, str], None]
    products: list[Key]
    writes: Counter[Key] = field(default_factory=Counter)
    """Writes of each product's status."""
    _calm_since: float = 0.0
    _since: dict[tuple[str, Key], float] = field(default_factory=dict)

    def begin(self) -> None:
        """Begin to watch."""
        self.world.server.on_change.append(self._changed)
        self.world.loop.call_later(LOOK_SECONDS, self._look)

    def _changed(self, resource: Resource, before: Body | None, after: Body | None) -> None:
        if resource is DATA_PRODUCTS and self.world.network.writer and before and after:
            self.writes[Key(after["metadata"]["namespace"], after["metadata"]["name"])] += 1

    def _look(self) -> None:
        now = self.world.loop.time()
        self.world.loop.call_later(LOOK_SECONDS, self._look)
        if not self._is_calm():
            self._calm_since = now
        calm = now - self._calm_since >= CALM_SECONDS
        for key in self.products:
            body = self.world.server.find(DATA_PRODUCTS, key)
            found = dict(self._broken(key, body)) if calm and body is not None else {}
            for rule in RULES:
                if rule not in found:
                    self._since.pop((rule, key), None)
                    continue
                since = self._since.setdefault((rule, key), now)
                assert body is not None
                if now - since > max(CALM_SECONDS, REACTION * block_of(body["spec"])):
                    self.report(rule, key, found[rule])

    def _is_calm(self) -> bool:
        """Whether nothing hinders the operator: it runs, its clocks are right, all servers answer."""
        cluster, network = self.world.cluster, self.world.network
        leader = self.world.leader()
        gateways = sum(1 for _ in self.world.server.all(GATEWAYS))
        return (
            leader is not None
            and not leader.skew
            and not (network.faults or network.watch_faults)
            and cluster.accepts
            and not cluster.refusing
            and gateways > 1
            and not cluster.workloads.quota
        )

    def _broken(self, key: Key, body: Body) -> Iterator[tuple[str, str]]:
        spec, status = body["spec"], body.get("status") or {}
        yield from self._podless(key, spec)
        yield from _nameless(spec, status)
        yield from _unlisted(body, status)

    def _podless(self, key: Key, spec: Body) -> Iterator[tuple[str, str]]:
        """Requests are sent to a version without a ready pod while another one has some."""
        weights = self.world.cluster.weights_of(key)
        if not weights or spec.get("suspend"):
            return
        ready: Counter[str] = Counter()
        for pod in self.world.cluster.pods_of(key):
            ready[pod.deployment.name] += pod.ready
        empty = {name: share for name, share in weights.items() if share and not ready[name]}
        if empty and any(ready.values()):
            yield PODLESS, f"requests go to {empty}, and pods are ready of {+ready}"


def _nameless(spec: Body, status: Body) -> Iterator[tuple[str, str]]:
    """What the spec names doesn't serve, and the object doesn't say why."""
    stable = status.get("stable")
    if stable is None or spec.get("suspend"):
        return
    desired = spec["model"]["bento"]
    if digest_of(stable["image"]) == digest_of(identity_of(desired)):
        return
    text = excuse(status)
    if text is None:
        names = f"spec.model names {desired['version']}, {stable['version']} serves"
        yield NAMELESS, f"{names}, and no condition says why: {status.get('specModel')}"


def excuse(status: Body) -> str | None:
    """What status says of a model that doesn't serve; None where it says nothing."""
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    rollout = conditions.get("RolloutProgressing") or {}
    ready = conditions.get("Ready") or {}
    taken = status.get("specModel") or {}
    if "Stalled" in conditions:
        return str(conditions["Stalled"]["message"])
    if status.get("candidate") or rollout.get("reason") not in (
        None,
        "",
        "NoRollout",
        "OnProbation",
    ):
        return str(rollout.get("message", "")) or None
    if ready.get("status") != "True":
        return str(ready.get("message", "")) or None
    if (
        taken.get("outcome") == "Promoted"
        and (status.get("stable") or {}).get("source") == "Retraining"
    ):
        return "a training of it serves"
    return None


def _unlisted(body: Body, status: Body) -> Iterator[tuple[str, str]]:
    """A person is needed, and the list of those who need one hasn't the product."""
    conditions = {condition["type"] for condition in status.get("conditions") or ()}
    candidate, retraining = status.get("candidate") or {}, status.get("retraining") or {}
    needed = [
        *(["it is stalled"] if "Stalled" in conditions else []),
        *(
            ["a candidate waits for approval"]
            if candidate.get("phase") == "AwaitingApproval"
            else []
        ),
        *(["retraining is suspended"] if retraining.get("suspended") else []),
    ]
    if needed and not needs_of(DataProduct.parse(body)):
        yield UNLISTED, f"{', '.join(needed)}, and no need of a person is listed"


PODLESS: Final = "requests to no pod"
NAMELESS: Final = "a wait without a name"
UNLISTED: Final = "a need that isn't listed"
RULES: Final = (PODLESS, NAMELESS, UNLISTED)
