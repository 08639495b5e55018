"""What must hold where requests are mirrored: to whom they go, and which rows are evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from benchmarks.virtual.cluster import FASTEST_MILLISECONDS, KNOWN_TRUTHS
from sluicegate.api import names
from sluicegate.kube.resources import SERVICES, Key
from tests.support.lives.products import block_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.virtual.operator import World
    from benchmarks.virtual.traffic import Curve
    from benchmarks.virtual.variation import Drawn, Sum

Body = dict[str, Any]

NOBODY: Final = "none"
"""The revision that mirrored requests go to while no candidate is tried."""
NOT_TRIED: Final = frozenset({"Parked", "Promoting", "RollingBack"})


@dataclass
class Mirrors:
    """Watches the Services of mirrored requests, and the evidence of their rows.

    Attributes
    ----------
    report : gets the rule that was broken, whose product, and what was seen.
    rows : rows of mirrored requests that became evidence.
    """

    world: World
    report: Callable[[str, Key, str], None]
    rows: int = 0

    def check_service(self, key: Key, after: Body, status: Body) -> None:
        """Mirrored requests go to the candidate that is tried, or nowhere."""
        if after["metadata"]["name"] != service_of(key).name:
            return
        chosen, tried = after["spec"]["selector"].get(names.LABEL_REVISION), _tried(status)
        if chosen not in (NOBODY, tried):
            text = f"requests are mirrored to {chosen}, and {tried or 'nothing'} is tried"
            self.report("mirrored to another version", key, text)

    def check_route(self, key: Key, backends: Body) -> None:
        """No user's request goes where mirrored ones do."""
        if service_of(key).name in backends:
            self.report("exposed by the mirror", key, f"the route leads to {sorted(backends)}")

    def check_evidence(self, key: Key, before: Body, after: Body) -> None:
        """An interval is counted once: its rows are those that happened in it, and time moves on."""
        was, now = (((one.get("status") or {}).get("candidate") or {}) for one in (before, after))
        old, new = was.get("shadow") or {}, now.get("shadow") or {}
        seen = (after.get("status") or {}).get("observedGeneration")
        fresh = not old or was.get("revision") != now.get("revision")
        if mirror_of(after["spec"]) is None or seen != after["metadata"]["generation"]:
            return  # a Job's rows, perhaps
        if fresh or not new:
            if new.get("evidence"):
                self.report("evidence from nowhere", key, f"{new} follows {old}")
            return
        if new.get("evidence"):
            self._check_rows(key, now["revision"], old, new, block_of(after["spec"]))

    def _check_rows(self, key: Key, revision: str, old: Body, new: Body, block: int) -> None:
        since, until = (_time(one["sinceTime"]) for one in (old, new))
        known = {one["slo"]: one for one in old.get("evidence") or ()}
        for one in new["evidence"]:
            earlier = known.get(one["slo"], {})
            if earlier.get("termsHash") != one.get("termsHash"):
                earlier = {}
            rows = sum(one["pairs"].values()) - sum((earlier.get("pairs") or {}).values())
            if earlier == one:
                continue
            if until <= since:
                text = f"{rows} rows more, and the interval still ends at {new['sinceTime']}"
                self.report("evidence counted twice", key, text)
            happened = self._happened(key, revision, since - block, until)
            if not 0 <= rows <= happened:
                text = (
                    f"{rows} rows until {new['sinceTime']}, in which {happened} pairs were counted"
                )
                self.report("evidence that didn't happen", key, text)
            self.rows += rows

    def _happened(self, key: Key, revision: str, since: float, until: float) -> int:
        """Pairs with a version that any pod counted in (since, until], one more each at most."""
        begin, end = (one - self.world.prometheus.epoch for one in (since, until))
        return sum(curve.count(begin, end) + 1 for curve in self._curves(key, revision))

    def _curves(self, key: Key, revision: str) -> Iterator[Curve | Drawn | Sum]:
        for version, counted in self.world.cluster.traffic.versions.items():
            for name, curve in counted.events.items():
                if version[:2] == key and ">" in name and name.endswith(f"/{revision}"):
                    yield curve


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _tried(status: Body) -> str:
    """The revision of the candidate that is tried beside stable; empty without one."""
    candidate = status.get("candidate") or {}
    tried = status.get("stable") and candidate.get("phase") not in NOT_TRIED
    return candidate.get("revision", "") if tried else ""


def mirror_of(spec: Body) -> Body | None:
    """How requests are mirrored; None where they aren't."""
    found: Body | None = ((spec.get("rollout") or {}).get("shadow") or {}).get("mirror")
    return found


def service_of(key: Key) -> Key:
    """The Service that mirrored requests go to."""
    return Key(key.namespace, f"{key.name}-candidate")


def lacks_of_mirror(world: World, key: Key, spec: Body, status: Body) -> Iterator[str]:
    """What is left of a mirror whose candidate, or whose field of the spec, is gone."""
    service = world.server.find(SERVICES, service_of(key))
    if mirror_of(spec) is None:
        if service is not None:
            yield f"Service {service_of(key).name} is still there"
        return
    chosen = ((service or {}).get("spec") or {}).get("selector", {}).get(names.LABEL_REVISION)
    if chosen != (_tried(status) or NOBODY):
        yield f"requests are mirrored to {chosen}"


def rows_in(spec: Body, seconds: float, requests_per_second: float) -> float:
    """Rows that a canary's time brings at its last share, where requests are mirrored; else no bound."""
    mirror, steps = mirror_of(spec), (spec.get("rollout") or {}).get("steps") or (50,)
    if mirror is None:
        return float("inf")
    if mirror["timeoutMilliseconds"] < FASTEST_MILLISECONDS:
        return 0.0
    share = mirror["percent"] / 100 * (1 - max(steps) / 100)
    return seconds * requests_per_second * KNOWN_TRUTHS * share
