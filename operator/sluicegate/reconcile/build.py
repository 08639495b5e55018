"""The objects of a product as they should be, in the order in which they are applied."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sluicegate.api.baseline import Baseline, BaselineSource
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version, VersionBase
from sluicegate.kube.managed_fields import fingerprint
from sluicegate.kube.resources import (
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    POD_DISRUPTION_BUDGETS,
    SERVICES,
    Key,
    Resource,
    key_of,
)
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.deployment import build_deployment
from sluicegate.manifests.draw_route import build_draw_route
from sluicegate.manifests.names import version_name
from sluicegate.manifests.preview_route import build_preview_route, with_allowed_preview
from sluicegate.manifests.route import Backend, build_feedback_rules, build_route
from sluicegate.manifests.scaling import (
    build_autoscaler,
    build_disruption_budget,
    needs_disruption_budget,
)
from sluicegate.manifests.service import (
    build_candidate_service,
    build_stable_service,
    build_version_service,
)
from sluicegate.manifests.version_annotations import read_version
from sluicegate.reconcile.live.children import DeploymentRecord, ServiceRecord
from sluicegate.reconcile.traffic.allocation import Allocation, Placement
from sluicegate.settings import ServiceKind


@dataclass(frozen=True, slots=True)
class Child:
    """A desired object, with the fingerprint of what is applied."""

    resource: Resource
    manifest: Manifest
    fingerprint: str

    @property
    def key(self) -> Key:
        """Return the namespace and name."""
        return key_of(self.manifest)


def build_children(
    product: DataProduct,
    allocation: Allocation,
    live: Mapping[str, DeploymentRecord],
    *,
    service_kind: ServiceKind,
    services: Mapping[str, ServiceRecord] | None = None,
    previews: bool = False,
    random_ids: bool = False,
) -> tuple[Child, ...]:
    """Return all children except for Jobs, in the order in which they are applied.

    Parameters
    ----------
    product : its spec.
    allocation : which versions live.
    live : Deployments by revision, as they are.
    service_kind : of the Services of versions that aren't there yet.
    services : those that are, by revision: the kind of a Service can't change.
    previews : whether the operator's settings allow previews.
    random_ids : whether the platform assigns the user and group of the pods.
    """
    live_services = services or {}
    kinds = {
        revision: ServiceKind.HEADLESS if service.headless else ServiceKind.CLUSTER_IP
        for revision, service in live_services.items()
    }
    manifests = _manifests(
        with_allowed_preview(product, previews=previews),
        allocation,
        live,
        lambda revision: kinds.get(revision, service_kind),
        random_ids=random_ids,
    )
    children = tuple(Child(resource, body, fingerprint(body)) for resource, body in manifests)
    if len({(child.resource, child.key) for child in children}) < len(children):
        raise RuntimeError(
            "two children have one name: they would overwrite each other indefinitely"
        )
    return children


def _manifests(
    product: DataProduct,
    allocation: Allocation,
    live: Mapping[str, DeploymentRecord],
    kind_of: Callable[[str], ServiceKind],
    *,
    random_ids: bool,
) -> Iterator[tuple[Resource, Manifest]]:
    rollout = product.spec.rollout
    scaling = tuple(_scaling(product, allocation.placements[0])) if allocation.placements else ()
    is_limited = bool(scaling) and allocation.placements[0].ceiling > 0
    if is_limited:  # before another version gets the pods that the autoscaler must leave
        yield from scaling
    for placement in allocation.placements:
        version, service = placement.version, live.get(placement.version.revision)
        replicas = _replicas(placement, service)
        if service is not None and not _was_followed(product.status):
            version = _with_annotated_baseline(version, service)
        body = build_deployment(
            product, version, replicas=replicas, pods=placement.replicas, random_ids=random_ids
        )
        yield DEPLOYMENTS, body
        if product.spec.route is not None:
            yield SERVICES, build_version_service(product, version, kind=kind_of(version.revision))
    if allocation.placements:
        yield SERVICES, build_stable_service(product, allocation.selected)
        if rollout.mirror is not None or rollout.preview is not None:
            yield SERVICES, build_candidate_service(product, allocation.tried)
        if not is_limited:
            yield from scaling
    yield from _routes(product, allocation)


def _routes(product: DataProduct, allocation: Allocation) -> Iterator[tuple[Resource, Manifest]]:
    route, name = product.spec.route, product.metadata.name
    if route is None or not allocation.weights:
        return
    backends = [
        Backend(version_name(name, revision), weight) for revision, weight in allocation.weights
    ]
    if (draws := build_draw_route(product, route, backends)) is not None:
        yield HTTP_ROUTES, draws
    if (preview := build_preview_route(product, route)) is not None:
        yield HTTP_ROUTES, preview
    stable = allocation.placements[0].version.revision
    is_split = len(allocation.weights) > 1 and allocation.selected == stable
    unsplit_rules = build_feedback_rules(product, route) if is_split else ()
    yield HTTP_ROUTES, build_route(product, route, backends, unsplit_rules)


def _was_followed(status: DataProductStatus) -> bool:
    """Return whether an earlier version was accepted before this one."""
    return any(past_version.promotion_time is not None for past_version in status.history)


def _with_annotated_baseline(version: VersionBase, live: DeploymentRecord) -> VersionBase:
    """Return the first version with the baseline and promotion time from its Deployment's annotations.

    That its pods took long is no reason to write again: it is the only one that was ever accepted,
    a canary beside it too, and only its evaluation is known. Once another has taken over, it is
    written anyway, to be scaled down.
    """
    before = read_version(dict(live.labels), dict(live.annotations))
    if not isinstance(version, Version) or before is None or before.image != version.image:
        return version
    if any(one.source is not BaselineSource.EVALUATION for one in version.baseline.values()):
        return version
    if _counts(before.baseline) != _counts(version.baseline):
        return version  # another evaluation, or another indicator
    acceptance = {"promotion_time": before.promotion_time, "baseline": before.baseline}
    return version.replace(**acceptance)


def _counts(baseline: Mapping[str, Baseline]) -> dict[str, tuple[object, ...]]:
    """Return the event counts of a baseline, without its times."""
    return {
        name: (
            baseline_counts.source,
            baseline_counts.bad,
            baseline_counts.total,
            baseline_counts.indicator_hash,
        )
        for name, baseline_counts in baseline.items()
    }


def _replicas(placement: Placement, live: DeploymentRecord | None) -> int | None:
    """Return the replicas to apply; None where an autoscaler owns the field."""
    if placement.autoscaled and live is not None:
        return None if live.scaled and live.replicas else max(live.replicas, placement.replicas)
    return placement.replicas


def _scaling(product: DataProduct, stable: Placement) -> Iterator[tuple[Resource, Manifest]]:
    if needs_disruption_budget(product):
        yield POD_DISRUPTION_BUDGETS, build_disruption_budget(product)
    if product.spec.serving.autoscaling is not None:
        scaling = product.spec.serving.autoscaling
        limits = {"minimum_replicas": stable.floor, "maximum_replicas": stable.ceiling}
        body = build_autoscaler(product, stable.version, scaling, **limits)
        yield HORIZONTAL_POD_AUTOSCALERS, body
