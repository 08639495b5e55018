"""What is kept of each live object: the few fields that a step decides by.

Thousands of products share one process, so full objects are read once, as they arrive, and
dropped. A child's record holds a fingerprint of the part that is ours: where it equals the
fingerprint of what would be applied, nothing is written, after a restart as well.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sluicegate.api import names
from sluicegate.kube.managed_fields import owned_fingerprint, written_at
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    Key,
    Resource,
)
from sluicegate.reconcile.live.product import compressed, decompressed, product_record
from sluicegate.runtime.interfaces import Record, Watched

DEADLINE_EXCEEDED: Final = "ProgressDeadlineExceeded"
ROLLING: Final = frozenset(
    {
        "NewReplicaSetCreated",
        "FoundNewReplicaSet",
        "ReplicaSetUpdated",
        "ReplicaSetCreateError",
        DEADLINE_EXCEEDED,
    }
)
"""Reasons of a Deployment's condition Progressing until the pods of its newest template are up;
that it is scaled changes nothing of it."""
OWN_CHILDREN: Final = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildRecord(Record):
    """An object with a name or label of the product's children.

    Attributes
    ----------
    owner : uid of the DataProduct that controls it; empty when none does.
    fingerprint : of the part that we applied.
    labels, annotations : those with our prefix.
    """

    owner: str
    fingerprint: str
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()

    def label(self, name: str) -> str:
        """Return the value of a label; empty without it."""
        return dict(self.labels).get(name, "")

    def annotation(self, name: str) -> str:
        """Return the value of an annotation; empty without it."""
        return dict(self.annotations).get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord(ChildRecord):
    """The Deployment of a version.

    Attributes
    ----------
    current : the Deployment controller has seen the newest generation.
    replicas : of its spec.
    ready, total : number of pods that are ready, that exist.
    serving, has_no_pods : `current` and a pod is ready; no pod is left of a version with 0 replicas.
        Only these two are compared, instead of `current` and `total`: a new pod alone causes no
        reconcile.
    deadline_exceeded : the progress deadline is exceeded.
    rolling : some pods of the newest template aren't ready yet; valid if `current`.
    scaled : an autoscaler, or another client, sets the number of replicas.
    scaled_at : when the operator last applied it, or the number of replicas was last set through its
        scale subresource, in seconds; 0 if unknown.
    moved_at : time of its creation, or of the last change or progress of a condition, in seconds.
    unavailable_since : when fewer pods than `replicas` were ready for the first time since all were, in
        seconds; 0 while all are.
    refusal : why the API server refuses its pods, such as a quota; empty while it accepts them.
    """

    current: bool = field(compare=False)
    replicas: int
    ready: int
    total: int = field(compare=False)
    serving: bool = field(init=False)
    has_no_pods: bool = field(init=False)
    deadline_exceeded: bool
    scaled: bool
    scaled_at: int = field(default=0, compare=False)
    rolling: bool = False
    moved_at: int = field(default=0, compare=False)
    unavailable_since: int = field(default=0, compare=False)
    refusal: str = field(default="", compare=False)

    @property
    def pods(self) -> int:
        """Return the number of its pods for the capacity: the larger of existing and requested pods.

        After a change of its template the replacement of a single pod starts beside it. That pod isn't
        counted: else another version would lose a pod for it.
        """
        is_replaced = self.rolling and self.replicas == 1
        return self.replicas if is_replaced else max(self.replicas, self.total)

    def __post_init__(self) -> None:
        """Compute the fields that are compared instead of `current` and `total`."""
        object.__setattr__(self, "serving", self.current and self.ready > 0)
        object.__setattr__(self, "has_no_pods", self.total == 0 and self.replicas == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord(ChildRecord):
    """A cached Service; `revision` is from its selector, `headless` is immutable."""

    revision: str
    headless: bool = False


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """The conditions of a route at one of its parents.

    Attributes
    ----------
    namespace, name, section : the parent reference.
    accepted, resolved : the two conditions, for the generation in `observed`.
    observed : the older of both conditions' generations.
    message : of the first that isn't True.
    port : of the parent reference; 0 when it names none.
    is_denied : Accepted is False: the Gateway has rejected the route.
    decided_at : when Accepted became what it is, as the Gateway reports it; "" if it doesn't.
    """

    namespace: str
    name: str
    section: str
    accepted: bool
    resolved: bool
    observed: int
    message: str
    port: int = 0
    is_denied: bool = False
    decided_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord(ChildRecord):
    """The HTTPRoute of a product.

    Attributes
    ----------
    generation : of its spec.
    weights : backend name and weight of the first rule.
    parents : what its Gateways say.
    created : creationTimestamp, RFC 3339. written_at : when the operator last changed it, in seconds.
    packed_spec : its spec without the backends, as compressed JSON.
    """

    generation: int
    weights: tuple[tuple[str, int], ...]
    parents: tuple[ParentStatus, ...]
    created: str = ""
    written_at: int = 0
    packed_spec: bytes = field(default=compressed({}), repr=False)

    def changed_by(self, now: int) -> int:
        """Return the time of its last change, in seconds; 0 if unknown or in the future."""
        return self.written_at if self.written_at <= now else 0

    @property
    def spec(self) -> dict[str, Any]:
        """Return the spec without backends as parsed JSON, parsed at each call."""
        return decompressed(self.packed_spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(ChildRecord):
    """A cached Job.

    Attributes
    ----------
    finished : it succeeded or failed.
    succeeded : it succeeded.
    reason, message : of its failure.
    expires : its time to live is set.
    created : when, in seconds. deadline : seconds that it may run; 0 without one.
    deleting : it has a deletionTimestamp.
    suspended : spec.suspend is set, so it has no pod.
    suspended_since : since when it has not run, in seconds; 0 while it isn't suspended and has begun.
    queue : the LocalQueue that admits it; empty without one.
    start_time, end_time : when it began and ended, in seconds; 0 before. ready : pods of it that run.
    """

    finished: bool
    succeeded: bool
    reason: str
    message: str
    expires: bool
    created: int = 0
    deadline: int = 0
    deleting: bool = False
    suspended: bool = False
    suspended_since: int = 0
    end_time: int = 0
    queue: str = ""
    start_time: int = 0
    ready: int = 0


def _child(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return arguments of ChildRecord; None for an object without a product.

    The product is that of the owner, or without an owner that of the label, which any person may edit:
    a Deployment of a former version that has lost it is still to be scaled down and deleted.
    """
    meta = body["metadata"]
    labels = meta.get("labels") or {}
    annotations = meta.get("annotations") or {}
    references: list[dict[str, Any]] = meta.get("ownerReferences") or []
    owner: dict[str, Any] = next(
        (
            reference
            for reference in references
            if reference.get("controller") and reference.get("kind") == names.KIND
        ),
        {},
    )
    product: str = owner.get("name") or labels.get(names.LABEL_PRODUCT, "")
    if not product:
        return None
    return {
        "key": Key(meta["namespace"], meta["name"]),
        "parent": Key(meta["namespace"], product),
        "uid": meta["uid"],
        "version": int(meta["resourceVersion"]),
        "owner": owner.get("uid", ""),
        "fingerprint": owned_fingerprint(body, names.FIELD_MANAGER),
        "labels": _own_pairs(labels),
        "annotations": _own_pairs(annotations),
    }


def _own_pairs(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    # The same names, and many of the same values, in every object: each is kept once.
    return tuple(
        sorted(
            (sys.intern(name), sys.intern(value))
            for name, value in pairs.items()
            if name.startswith(f"{names.GROUP}/")
        )
    )


def deployment_record(body: Mapping[str, Any]) -> DeploymentRecord | None:
    """Convert a Deployment into its record."""
    if (child := _child(body)) is None:
        return None
    status = body.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    progressing = conditions.get("Progressing", {})
    return DeploymentRecord(
        **child,
        current=status.get("observedGeneration", 0) >= body["metadata"].get("generation", 0),
        replicas=body["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        total=status.get("replicas", 0),
        deadline_exceeded=progressing.get("reason") == DEADLINE_EXCEEDED,
        rolling=progressing.get("reason") in ROLLING,
        scaled=any(_scale_entries(body)),
        scaled_at=max(
            (*map(_entry_time, _scale_entries(body)), written_at(body, names.FIELD_MANAGER))
        ),
        moved_at=_moved_at(body["metadata"], conditions.values()),
        unavailable_since=_unavailable_since(body["metadata"], conditions.get("Available", {})),
        refusal=_refusal_text(conditions.get("ReplicaFailure", {})),
    )


def _refusal_text(failure: Mapping[str, Any]) -> str:
    return failure.get("message", "") if failure.get("status") == "True" else ""


def _unavailable_since(meta: Mapping[str, Any], available: Mapping[str, Any]) -> int:
    if available.get("status") == "True":
        return 0
    return _moved_at({}, (available,)) or _moved_at(meta, ())


def _moved_at(meta: Mapping[str, Any], conditions: Iterable[Mapping[str, Any]]) -> int:
    times = [meta.get("creationTimestamp")]
    times += (
        condition.get(name)
        for condition in conditions
        for name in ("lastTransitionTime", "lastUpdateTime")
    )
    return max(
        (int(datetime.fromisoformat(time_text).timestamp()) for time_text in times if time_text),
        default=0,
    )


def _scale_entries(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the managedFields entries that own spec.replicas through the scale subresource."""
    for entry in body["metadata"].get("managedFields") or ():
        spec_fields = (entry.get("fieldsV1") or {}).get("f:spec", {})
        if entry.get("subresource") == "scale" and "f:replicas" in spec_fields:
            yield entry


def _entry_time(entry: Mapping[str, Any]) -> int:
    """Return when a manager last changed its fields, in seconds; 0 if unknown."""
    time_text = entry.get("time")
    return int(datetime.fromisoformat(time_text).timestamp()) if time_text else 0


def service_record(body: Mapping[str, Any]) -> ServiceRecord | None:
    """Convert a Service into its record."""
    if (child := _child(body)) is None:
        return None
    selector = body["spec"].get("selector") or {}
    return ServiceRecord(
        **child,
        revision=selector.get(names.LABEL_REVISION, ""),
        headless=body["spec"].get("clusterIP") == "None",
    )


def route_record(body: Mapping[str, Any]) -> RouteRecord | None:
    """Convert an HTTPRoute into its record."""
    if (child := _child(body)) is None:
        return None
    rules = body["spec"].get("rules") or [{}]
    backends = rules[0].get("backendRefs") or ()
    namespace = body["metadata"]["namespace"]
    parents = (body.get("status") or {}).get("parents") or ()
    return RouteRecord(
        **child,
        generation=body["metadata"].get("generation", 0),
        weights=tuple((reference["name"], reference.get("weight", 1)) for reference in backends),
        parents=tuple(_parent(parent, namespace) for parent in parents),
        created=body["metadata"].get("creationTimestamp", ""),
        written_at=written_at(body, names.FIELD_MANAGER),
        packed_spec=compressed(_without_backends(body["spec"])),
    )


def _without_backends(spec: Mapping[str, Any]) -> dict[str, Any]:
    rules = [
        {name: part for name, part in rule.items() if name != "backendRefs"}
        for rule in spec.get("rules") or ()
    ]
    return {**spec, "rules": rules}


def _parent(entry: Mapping[str, Any], namespace: str) -> ParentStatus:
    reference = entry["parentRef"]
    conditions = {condition["type"]: condition for condition in entry.get("conditions") or ()}
    verdicts = [conditions.get(kind, {}) for kind in ("Accepted", "ResolvedRefs")]
    bad: dict[str, Any] = next(
        (verdict for verdict in verdicts if verdict.get("status") != "True"), {}
    )
    return ParentStatus(
        namespace=reference.get("namespace", namespace),
        name=reference["name"],
        section=reference.get("sectionName", ""),
        accepted=verdicts[0].get("status") == "True",
        resolved=verdicts[1].get("status") == "True",
        observed=min(verdict.get("observedGeneration", 0) for verdict in verdicts),
        message=": ".join(filter(None, (bad.get("reason"), bad.get("message")))),
        port=reference.get("port", 0),
        is_denied=verdicts[0].get("status") == "False",
        decided_at=verdicts[0].get("lastTransitionTime", ""),
    )


def job_record(body: Mapping[str, Any]) -> JobRecord | None:
    """Convert a Job into its record."""
    if (child := _child(body)) is None:
        return None
    status = body.get("status") or {}
    true_conditions = {
        condition["type"]: condition
        for condition in status.get("conditions") or ()
        if condition["status"] == "True"
    }
    end_condition = {
        kind: one for kind, one in true_conditions.items() if kind in ("Complete", "Failed")
    }
    failed = end_condition.get("Failed", {})
    suspended = bool(body["spec"].get("suspend"))
    suspension = true_conditions.get("Suspended", {})
    created = _moved_at(body["metadata"], ())
    return JobRecord(
        **child,
        finished=bool(end_condition),
        succeeded="Complete" in end_condition,
        reason=failed.get("reason", ""),
        message=failed.get("message", ""),
        expires=body["spec"].get("ttlSecondsAfterFinished") is not None,
        created=created,
        deadline=body["spec"].get("activeDeadlineSeconds") or 0,
        deleting="deletionTimestamp" in body["metadata"],
        suspended=suspended,
        suspended_since=0
        if status.get("startTime") and not suspended
        else max(created, _moved_at({}, (suspension,))),
        queue=(body["metadata"].get("labels") or {}).get(names.LABEL_QUEUE, ""),
        start_time=_moved_at({"creationTimestamp": status.get("startTime")}, ()),
        end_time=max((_moved_at({}, (one,)) for one in end_condition.values()), default=0),
        ready=status.get("ready") or 0,
    )


def child_record(body: Mapping[str, Any]) -> ChildRecord | None:
    """Convert an object into a record of the fields that the operator owns."""
    child = _child(body)
    return None if child is None else ChildRecord(**child)


_RECORD_TYPES: Final[Mapping[Resource, Callable[[Mapping[str, Any]], Record | None]]] = {
    DEPLOYMENTS: deployment_record,
    SERVICES: service_record,
    HTTP_ROUTES: route_record,
    JOBS: job_record,
    POD_DISRUPTION_BUDGETS: child_record,
    HORIZONTAL_POD_AUTOSCALERS: child_record,
}


def watched() -> tuple[Watched, ...]:
    """Return the kinds that are watched, the product's own first."""
    children = (
        Watched(resource, to_record, labels=OWN_CHILDREN)
        for resource, to_record in _RECORD_TYPES.items()
    )
    return (Watched(DATA_PRODUCTS, product_record), *children)


STARTING_SECONDS: Final = 10
"""From a Deployment's last change until its pods may have news."""


def is_starting(live: Iterable[DeploymentRecord], now: int) -> bool:
    """Return whether unready pods may become ready within seconds, so that they are read again soon.

    With a clock that differs from the API server's it returns False: then they are read at once.
    """
    return has_just_changed(
        (deployment for deployment in live if deployment.ready < deployment.replicas), now
    )


def has_just_changed(live: Iterable[DeploymentRecord], now: int) -> bool:
    """Return whether a Deployment became available or unavailable within the last seconds."""
    return any(0 <= now - deployment.moved_at < STARTING_SECONDS for deployment in live)
