"""What pure rules are asked of: a product in each mode, its candidate in each phase, pods, Jobs, splits."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.api.outcome import Outcome
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import (
    Candidate,
    CandidatePhase,
    PastVersion,
    Release,
    Share,
    Version,
    VersionSource,
)
from sluicegate.reconcile.live.children import job_record
from sluicegate.reconcile.traffic.split_verification import Split, VerificationLevel
from tests.support.decisions.rollout_world import START, document, image
from tests.support.decisions.rollouts import serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate.reconcile.live.children import DeploymentRecord, JobRecord
    from sluicegate.reconcile.traffic.allocation import Allocation

SCALED = {
    "runtimeImage": "registry.example/runtime:1",
    "autoscaling": {"minReplicas": 2, "maxReplicas": 9},
    "resources": {"requests": {"cpu": "1"}},
}
STABLE = Version.of(Release("v1", image("a"), "r"), VersionSource.SPEC, promotion_time=START)
BEFORE = PastVersion.of(
    Release("v0", image("c"), "r"), VersionSource.SPEC, outcome=Outcome.REPLACED, end_time=START
)
REFUSED = PastVersion.of(
    Release("vx", image("e"), "r"), VersionSource.SPEC, outcome=Outcome.ROLLED_BACK, end_time=START
)
Phase = CandidatePhase


def candidate(phase: CandidatePhase, weight: int = 0, target: int = 0, **fields: Any) -> Candidate:
    shares = (Share(weight=weight, start_time=START),) if weight else ()
    known = {
        "phase": phase,
        "weight": weight,
        "target": target,
        "start_time": START,
        "shares": shares,
    }
    return Candidate.of(Release("v2", image("b"), "r"), VersionSource.SPEC, **known | fields)


def product(**spec: Any) -> DataProduct:
    steps = {"steps": [10, 30, 60]}
    return DataProduct.parse(document(**{"rollout": steps} | spec))


CANDIDATES: dict[str, Candidate | None] = {
    "no candidate": None,
    "starting": candidate(Phase.STARTING),
    "starting at 10": candidate(Phase.STARTING, target=10),
    "from 5 to 25": candidate(Phase.STEPPING, 5, 25),
    "at 25": candidate(Phase.STEPPING, 25, 25),
    "at 50, approved by nobody": candidate(Phase.AWAITING_APPROVAL, 50, 50),
    "promoting from 50": candidate(Phase.PROMOTING, 50, 50),
    "promoting at 100": candidate(Phase.PROMOTING, 100, 50),
    "back from 25": candidate(Phase.ROLLING_BACK, 25, 25),
    "back from 100": candidate(Phase.ROLLING_BACK, 100, 50),
    "back from the start": candidate(Phase.ROLLING_BACK),
    "parked": candidate(Phase.PARKED, 25, 25),
}
PHASES = {name: one for name, one in CANDIDATES.items() if one is not None}
MODES = {
    "a route": product(),
    "no route": product(route=None),
    "scaled": product(serving=SCALED),
    "scaled, no route": product(serving=SCALED, route=None),
}


def named(table: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The rows of these names."""
    return {name: table[name] for name in names}


def status(one: Candidate | None, *history: PastVersion) -> DataProductStatus:
    return DataProductStatus(stable=STABLE, candidate=one, history=history)


def laid_out(allocation: Allocation) -> str:
    """An allocation in a line."""
    names = {one.version.revision: one.version.version for one in allocation.placements} | {
        None: "-"
    }
    pods = [
        f"{one.version.version} {one.replicas}{' scaled' * one.autoscaled}{f' floor {one.floor}' * bool(one.floor)}"
        for one in allocation.placements
    ]
    weights = [f"{names[revision]} {weight} %" for revision, weight in allocation.weights]
    mirror = f"; mirrored to {names.get(allocation.mirrored_to)}" if allocation.mirrored_to else ""
    return (
        f"{', '.join(pods)}; {', '.join(weights) or 'no weights'}; {names[allocation.selected]} selected;"
        f" {allocation.needed} needed{mirror}"
    )


@cache
def deployment() -> DeploymentRecord:
    return next(iter(serving().observation().live.values()))


def pods(ready: int, replicas: int = 4, total: int = 4, **fields: Any) -> DeploymentRecord:
    return replace(deployment(), ready=ready, replicas=replicas, total=total, **fields)


def job(name: str = "search-train", **fields: Any) -> JobRecord:
    """A Job of the product search; it runs, if no field says otherwise."""
    labels = {LABEL_PRODUCT: "search"}
    meta = {"namespace": "catalog", "name": name, "uid": "9", "labels": labels}
    found = job_record({"metadata": meta | {"resourceVersion": "1"}, "spec": {}})
    assert found is not None
    return replace(found, **fields)


SPLITS = {
    "no split": None,
    "written": Split(VerificationLevel.WRITTEN, "written"),
    "accepted": Split(VerificationLevel.ACCEPTED, "accepted"),
    "mismatched": Split(VerificationLevel.ACCEPTED, "another share", mismatched=True),
}
