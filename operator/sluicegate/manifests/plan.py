"""All children of a product, before anything is observed of it."""

from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.api.retraining_status import Trigger
from sluicegate.api.versions import VersionBase, VersionSource, revision_of
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.deployment import build_deployment
from sluicegate.manifests.names import TRIGGER_LENGTH, shadow_job_name, version_name
from sluicegate.manifests.preview_route import build_preview_route, with_allowed_preview
from sluicegate.manifests.route import Backend, build_route
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
from sluicegate.manifests.shadow import ShadowInterval, build_shadow_job
from sluicegate.manifests.training import Attempt, build_training_job
from sluicegate.settings import Settings

EXAMPLE_TRIGGER: Final = "0" * TRIGGER_LENGTH
"""Placeholder for the trigger of a training, of which there is none yet."""


def spec_version(product: DataProduct, runtime_image: str) -> VersionBase:
    """Return the version of spec.model in this runtime."""
    bento = product.spec.model.bento
    return VersionBase(
        version=bento.version,
        image=bento.identity,
        service=bento.service,
        runtime_image=runtime_image,
        revision=revision_of(bento.digest, runtime_image),
        source=VersionSource.SPEC,
    )


def initial_children(
    product: DataProduct, version: VersionBase, settings: Settings
) -> list[Manifest]:
    """Return the manifests of a product whose first version receives all of the traffic."""
    product = with_allowed_preview(product, previews=settings.previews)
    spec = product.spec
    children = [
        build_deployment(
            product,
            version,
            replicas=spec.serving.base_replicas,
            random_ids=settings.random_ids,
        ),
        build_stable_service(product, version.revision),
    ]
    if spec.rollout.mirror or spec.rollout.preview:
        children.append(build_candidate_service(product, ""))
    if spec.route:
        children.append(build_version_service(product, version, kind=settings.service_kind))
        name = version_name(product.metadata.name, version.revision)
        preview = build_preview_route(product, spec.route)
        children += [preview] if preview is not None else []
        children.append(build_route(product, spec.route, [Backend(name, 100)]))
    if needs_disruption_budget(product):
        children.append(build_disruption_budget(product))
    if spec.serving.autoscaling:
        children.append(build_autoscaler(product, version, spec.serving.autoscaling))
    return children


def example_training(product: DataProduct, version: VersionBase) -> list[Manifest]:
    """Return the Jobs that a retrain request, and the shadow phase of its result, would start."""
    shadow = product.spec.rollout.shadow
    scored_slos = (
        []
        if shadow is None or shadow.command is None
        else [build_shadow_job(product, shadow, _example(product, version))]
    )
    if product.spec.retraining is None:
        return scored_slos
    trigger = Trigger(
        id=EXAMPLE_TRIGGER,
        cause="Requested",
        version=version.version,
        message="an example by `sluicegate plan --training`",
        trigger_time=0,
    )
    attempt = Attempt(trigger=trigger, number=1, stable=version)
    return [build_training_job(product, product.spec.retraining, attempt), *scored_slos]


def _example(product: DataProduct, version: VersionBase) -> ShadowInterval:
    """Return an example interval in which the version is compared with itself."""
    name = shadow_job_name(product.metadata.name, version.revision, 0, 1)
    return ShadowInterval(name=name, stable=version, candidate=version, since=0, until=0)
