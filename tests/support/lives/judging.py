"""What must hold at any time in a world whose truth is given: waits have names, numbers are true.

`Judge` reads the object as a person would: status, the REASON column, the list of needs. What it
finds goes to `report`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.workloads import stamp
from sluicegate.api.product import DataProduct
from sluicegate.kube.resources import DEPLOYMENTS, Key
from sluicegate.views.needs import NeedKind, needs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.virtual.operator import World

Body = dict[str, Any]

ARMS: Final = re.compile(
    r"in accuracy: ([\d.]+) % \(n=([\d,]+)\) against stable's ([\d.]+) % \(n=([\d,]+)\)"
)
LEVEL: Final = re.compile(r"accuracy is at ([\d.]+) % \(n=([\d,]+), last ([\d.]+) (s|min|h|d)\)")
UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
FOLLOWS_SECONDS: Final = 180.0
"""Within which the traffic leaves a version without a ready pod, and status shows a change."""


@dataclass
class Judge:
    """Watches one product.

    Attributes
    ----------
    report : takes the name of the rule, the product, and what was seen.
    present : whether an operator that can write is there, and for how long it has been.
    """

    world: World
    key: Key
    block: int
    report: Callable[[str, Key, str], None]
    present: Callable[[], bool]
    checked: Counter[str] = field(default_factory=Counter)
    """How often each rule had something to check."""
    _since: dict[str, float] = field(default_factory=dict)
    _messages: dict[str, str] = field(default_factory=dict)
    _needs: tuple[Body | None, frozenset[NeedKind]] = (None, frozenset())
    """The needs of the body that was read last; the server alters no body in place."""
    _at: float = 0.0

    def look(self) -> None:
        """Check everything now."""
        now, body = self.world.loop.time(), self.world.product(self.key)
        if self.present():
            self._lasting("exposed", now, self._exposed())
            self._lasting("not ready", now, self._not_ready(body))
            self._lasting("wait without a name", now, self._unnamed(body))
        else:
            self._since.clear()
        self._numbers(body, now)
        self._at = now

    def _lasting(self, name: str, now: float, text: str) -> None:
        """Report what lasts longer than the operator takes to see it."""
        if not text:
            self._since.pop(name, None)
            return
        since = self._since.setdefault(name, now)
        if now - since > FOLLOWS_SECONDS:
            self.report(name, self.key, f"{text} (since {now - since:.0f} s)")

    def _ready(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for pod in self.world.cluster.pods_of(self.key):
            found[pod.deployment.name] += pod.ready
        return dict(found)

    def _exposed(self) -> str:
        """Requests that go to a version without a ready pod, while another has some."""
        weights, ready = self.world.cluster.weights_of(self.key), self._ready()
        if weights is None or not any(ready.values()):
            return ""
        self.checked["exposed"] += 1
        lost = {name: share for name, share in weights.items() if share and not ready.get(name)}
        return f"{lost} of the requests go to versions without a ready pod; ready: {ready}" * bool(
            lost
        )

    def _not_ready(self, body: Body) -> str:
        """Ready is True exactly while pods of stable are ready."""
        status = body.get("status") or {}
        said = condition(status, "Ready").get("status")
        stable = (status.get("stable") or {}).get("revision", "")
        pods = self._ready().get(f"{self.key.name}-{stable}", 0)
        self.checked["not ready"] += 1
        if said == "True" and not pods:
            return f"Ready is True, and no pod of {stable} is ready"
        if said == "False" and pods and not status.get("candidate") and not stalled(status):
            return f"Ready is False, and {pods} pods of {stable} are ready"
        return ""

    def _unnamed(self, body: Body) -> str:
        """Who waits for a person is listed, with a reason in the REASON column."""
        status = body.get("status") or {}
        decision, candidate = status.get("decision") or {}, status.get("candidate") or {}
        kinds = self._kinds_of(body)
        column = (status.get("summary") or {}).get("reason", "")
        waits = {
            NeedKind.APPROVAL: decision.get("reason") == "AwaitingApproval"
            and bool(candidate)
            and candidate.get("phase") in ("Stepping", "AwaitingApproval")
            and NeedKind.HELD not in kinds,
            # A candidate without a verdict is one need, though its spec.model is stalled as well.
            NeedKind.STALLED: stalled(status) and NeedKind.INCONCLUSIVE not in kinds,
            NeedKind.RETRAINING_SUSPENDED: bool((status.get("retraining") or {}).get("suspended")),
        }
        for kind, holds in waits.items():
            if holds:
                self.checked[kind] += 1
                if kind not in kinds and NeedKind.STALLED not in kinds:
                    return f"it waits for a person ({kind}), and its needs are {sorted(kinds)}"
                if not column:
                    return f"it waits for a person ({kind}), and the REASON column is empty"
        return ""

    def _kinds_of(self, body: Body) -> frozenset[NeedKind]:
        """What the product needs; read once for each version of its object."""
        if self._needs[0] is not body:
            kinds = frozenset(need.kind for need in needs_of(DataProduct.parse(body)))
            self._needs = (body, kinds)
        return self._needs[1]

    # ---- numbers ------------------------------------------------------------------------------
    def _numbers(self, body: Body, now: float) -> None:
        """A message's events are among those of the world."""
        status = body.get("status") or {}
        decision = (status.get("decision") or {}).get("message", "")
        if self._is_new("decision", decision) and (found := ARMS.search(decision)):
            self._check_arms(status, decision, found.groups(), now)
        for slo in status.get("slos") or ():
            text = slo.get("message", "")
            if self._is_new(slo["name"], text) and (found := LEVEL.search(text)):
                share, count, number, unit = found.groups()
                window = float(number) * UNITS[unit] * 1.01 + 3 * self.block
                begin = min(self._at, now - self.block) - window
                self._check("level", text, share, count, self._counts(None, begin, now))

    def _is_new(self, name: str, text: str) -> bool:
        fresh = self._messages.get(name) != text
        self._messages[name] = text
        return fresh

    def _check_arms(self, status: Body, text: str, found: tuple[str, ...], now: float) -> None:
        ours, n_ours, theirs, n_theirs = found
        arms = [status.get(name) for name in ("candidate", "stable")]
        if not all(arms):
            return  # it has ended: the versions have other names now
        for arm, share, count in zip(arms, (ours, theirs), (n_ours, n_theirs), strict=True):
            assert arm is not None
            counts = self._counts(arm["revision"], float("-inf"), now)
            self._check("arm", text, share, count, counts)

    def _counts(self, revision: str | None, begin: float, end: float) -> tuple[int, int]:
        """Right and wrong labels of a version, or of all, in (begin, end]."""
        right = wrong = 0
        for version, counted in self.world.cluster.traffic.versions.items():
            if version[:2] == self.key and revision in (None, version.revision):
                for name, curve in counted.events.items():
                    if name in ("correct", "wrong"):
                        number = curve.count(max(begin, 0.0), end)
                        right, wrong = (
                            right + number * (name == "correct"),
                            wrong + number * (name == "wrong"),
                        )
        return right, wrong

    def _check(self, name: str, text: str, share: str, count: str, counts: tuple[int, int]) -> None:
        self.checked[name] += 1
        number, ratio = int(count.replace(",", "")), float(share) / 100
        digits = len(share.partition(".")[2])
        lost = number * 0.51 * 10 ** (-2 - digits) + 1
        right, wrong = number * ratio, number * (1 - ratio)
        if right > counts[0] + lost or wrong > counts[1] + lost:
            seen = f"the world has {counts[0]:,} right and {counts[1]:,} wrong labels"
            self.report("numbers", self.key, f"{text}: {seen}")


def condition(status: Body, kind: str) -> Body:
    """A condition; empty where it isn't there."""
    conditions = status.get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def stalled(status: Body) -> bool:
    """Whether nothing goes on until a person changes something."""
    return condition(status, "Stalled").get("status") == "True"


def replicas_of(world: World, key: Key) -> Iterator[tuple[str, int]]:
    """The Deployments of a product, and their pods."""
    for body in world.server.all(DEPLOYMENTS, key.namespace):
        owners = body["metadata"].get("ownerReferences") or ()
        if any(owner["name"] == key.name for owner in owners):
            yield body["metadata"]["name"], body["spec"].get("replicas", 1)


def when(world: World) -> str:
    """The time, as a person reads it."""
    return stamp(world.loop.wall())
