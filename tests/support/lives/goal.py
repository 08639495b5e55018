"""The goal of each product once all faults are removed: its spec's version serves, and it is idle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.virtual.cluster import digest_of
from sluicegate.api import names
from sluicegate.kube.resources import DEPLOYMENTS, HTTP_ROUTES, JOBS, Key
from sluicegate.manifests.names import draw_route_name
from tests.support.lives.mirroring import lacks_of_mirror, rows_in
from tests.support.lives.products import duration_of
from tests.support.lives.safety import weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.virtual.operator import World

Body = dict[str, Any]

RESTS = frozenset({"Parked"})
REQUESTS_PER_SECOND = 20.0
"""Of each product once all faults are removed."""
MIN_ROWS = 2000
"""With which an equal candidate passes within the longest rollout."""


def missing(world: World, key: Key) -> list[str]:
    """What a product still lacks; nothing when it is at its goal."""
    return list(_missing(world, key))


def is_judged(spec: Body) -> bool:
    """Whether something shows that a new version is as good, and no person has to approve it."""
    speaks = any(
        slo.get("onDegraded") != "Ignore"
        and slo.get("canaryEvidence") != "PostPromotion"
        and "gauge" not in slo["indicator"]
        for slo in spec.get("slos") or ()
    )
    if rows_in(spec, duration_of(spec), REQUESTS_PER_SECOND) < MIN_ROWS:
        return False  # too few requests are mirrored for a verdict in time
    return speaks and (spec.get("rollout") or {}).get("approval", "Automatic") == "Automatic"


def unproven(world: World, key: Key) -> list[str]:
    """What a product still lacks to serve the good version that was pushed last."""
    body, status = world.product(key), world.status(key)
    desired = body["spec"]["model"]["bento"]
    if not is_judged(body["spec"]) or not str(desired["version"]).startswith("pushed-"):
        return []
    serves = (status.get("stable") or {}).get("image", "")
    if digest_of(serves) == digest_of(identity_of(desired)):
        return []
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    said = [conditions.get(kind, {}) for kind in ("Stalled", "RolloutProgressing")]
    words = [f"{one.get('reason')}: {one.get('message', '')[:200]}" for one in said if one]
    return [f"{desired['version']}, which is good, doesn't serve", *words]


def _missing(world: World, key: Key) -> Iterator[str]:
    body, status = world.product(key), world.status(key)
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        yield f"Ready is {ready.get('status')}: {ready.get('reason')}: {ready.get('message', '')[:200]}"
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        yield "the newest generation wasn't observed"
    candidate = status.get("candidate") or {}
    if candidate and candidate.get("phase") not in RESTS:
        message = conditions.get("RolloutProgressing", {}).get("message", "")
        yield f"{candidate['version']} is {candidate['phase']}: {message[:200]}"
    stable = status.get("stable")
    if stable is None:
        yield "nothing is stable"
        return
    if world.settings.prometheus_url or not _waits_for_a_person(status):
        yield from _of_model(body, status, conditions)
    yield from _of_pods(world, key, stable)
    yield from _of_route(world, key, body, stable)
    yield from _of_training(world, key)
    yield from lacks_of_mirror(world, key, body["spec"], status)


def identity_of(bento: Body) -> str:
    """A bento of the spec by content, as status names it."""
    return str(bento.get("image") or f"{bento['url']}#sha256:{bento['sha256']}")


def _waits_for_a_person(status: Body) -> bool:
    """Whether status says that nothing can be measured, so that a new model waits."""
    conditions = status.get("conditions") or ()
    found: str = next(
        (
            condition["reason"]
            for condition in conditions
            if condition["type"] == "MetricsAvailable"
        ),
        "",
    )
    return found == "PrometheusUnavailable"


def _of_model(body: Body, status: Body, conditions: Body) -> Iterator[str]:
    desired = body["spec"]["model"]["bento"]
    taken = status.get("specModel") or {}
    wishes = digest_of(identity_of(desired))
    if digest_of(status["stable"]["image"]) == wishes or "Stalled" in conditions:
        return
    if digest_of(taken.get("image", "")) != wishes:
        yield f"spec.model ({desired['version']}) wasn't taken up"
    elif taken.get("outcome") == "InProgress" and not status.get("candidate"):
        yield f"spec.model ({desired['version']}) is in progress, and has no candidate"


def _of_pods(world: World, key: Key, stable: Body) -> Iterator[str]:
    for deployment in world.server.all(DEPLOYMENTS, key.namespace):
        labels = deployment["metadata"].get("labels") or {}
        owners = deployment["metadata"].get("ownerReferences") or ()
        if not any(owner["uid"] == world.product(key)["metadata"]["uid"] for owner in owners):
            continue
        name, desired = deployment["metadata"]["name"], deployment["spec"].get("replicas", 1)
        ready = (deployment.get("status") or {}).get("readyReplicas", 0)
        if labels.get(names.LABEL_REVISION) == stable["revision"]:
            if ready != desired or not desired:
                yield f"of the {desired} pods of {name} {ready} are ready"
        elif desired:
            yield f"{name} still has {desired} pods"


def _of_route(world: World, key: Key, body: Body, stable: Body) -> Iterator[str]:
    if world.server.find(HTTP_ROUTES, Key(key.namespace, draw_route_name(key.name))) is not None:
        yield "there is still a route of draws"
    route = world.server.find(HTTP_ROUTES, key)
    if body["spec"].get("route") is None:
        if route is not None:
            yield "there is still a route"
        return
    weights = {name: weight for name, weight in weights_of(route).items() if weight}
    if weights != {f"{key.name}-{stable['revision']}": 100}:
        yield f"the route's weights are {weights}"


def _of_training(world: World, key: Key) -> Iterator[str]:
    for job in world.server.all(JOBS, key.namespace, f"{names.LABEL_PRODUCT}={key.name}"):
        if not (job.get("status") or {}).get("conditions"):
            yield f"Job {job['metadata']['name']} runs"
