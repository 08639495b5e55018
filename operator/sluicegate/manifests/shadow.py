"""The Job of a shadow phase: both bentos, and rows that were labelled in one interval.

Inputs of the command: the bentos at /stable and /candidate, the SLUICEGATE_* variables below, and
/dev/termination-log, to which it writes one JSON object (see sluicegate_service.shadow). The pod
has the template, service account and secrets of trainings.
"""

from dataclasses import dataclass
from typing import Final

from sluicegate.api.base import rfc3339
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.shadow import Shadow
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.bento import BentoPlace, bento_volume, fetch_containers, fetch_volumes
from sluicegate.manifests.common import Manifest, labels, metadata
from sluicegate.manifests.container import bento_environment, scratch_mounts, scratch_volumes
from sluicegate.manifests.training import (
    single_pod_job,
    trainer_container,
    trainer_pod,
    with_queue_name,
)
from sluicegate.manifests.training_template import merge_template

STABLE: Final = BentoPlace("/stable")
CANDIDATE: Final = BentoPlace(
    "/candidate", "sluicegate-candidate", "sluicegate-candidate-claim", "fetch-candidate"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowInterval:
    """Versions and interval of one Job.

    Attributes
    ----------
    name : of the Job.
    stable, candidate : the versions.
    since, until : interval of the labels' times, in seconds, without `since` itself.
    max_seconds : limit of its duration (a setting of the operator), whatever the product sets.
    random_ids : whether the platform assigns the user and group of its pod.
    """

    name: str
    stable: VersionBase
    candidate: VersionBase
    since: int
    until: int
    max_seconds: int = 604_800
    random_ids: bool = False


def build_shadow_job(product: DataProduct, shadow: Shadow, interval: ShadowInterval) -> Manifest:
    """Build the Job of one interval. Its name identifies the interval, so that it can't start twice."""
    own_labels = labels(product, Component.TRAINER)
    template = {
        "metadata": {"labels": own_labels},
        "spec": _pod_spec(product, shadow, interval),
    }
    retraining = product.spec.retraining
    if retraining is not None and retraining.pod_template is not None:
        template = _with_shadow_container(
            merge_template(retraining.pod_template.to_dict(), template), shadow, template
        )
    seconds = min(shadow.timeout_seconds, interval.max_seconds)
    job = single_pod_job(metadata(product, interval.name, own_labels), template, seconds=seconds)
    return with_queue_name(job, product.queue)


def _with_shadow_container(
    merged_template: Manifest, shadow: Shadow, operator_template: Manifest
) -> Manifest:
    """Return a template of trainings with the container of the shadow phase, in the template's image."""
    (container,) = merged_template["spec"]["containers"]
    (operator_container,) = operator_template["spec"]["containers"]
    container_fields = {key: value for key, value in container.items() if key != "args"}
    container_fields |= {
        "command": operator_container["command"],
        "workingDir": operator_container["workingDir"],
    }
    if shadow.resources.requests or shadow.resources.limits:
        container_fields["resources"] = operator_container["resources"]
    return merged_template | {"spec": merged_template["spec"] | {"containers": [container_fields]}}


def _pod_spec(product: DataProduct, shadow: Shadow, interval: ShadowInterval) -> Manifest:
    versions = ((interval.stable, STABLE), (interval.candidate, CANDIDATE))
    return trainer_pod(
        product,
        fetch=[
            container
            for version, bento_place in versions
            for container in fetch_containers(product, version, bento_place)
        ],
        container=_shadow_container(product, shadow, interval),
        volumes=[
            *(bento_volume(version, bento_place) for version, bento_place in versions),
            *(
                volume
                for version, bento_place in versions
                for volume in fetch_volumes(version, bento_place)
            ),
            *scratch_volumes(shadow.resources),
        ],
        random_ids=interval.random_ids,
    )


def _shadow_container(product: DataProduct, shadow: Shadow, interval: ShadowInterval) -> Manifest:
    variable_values = bento_environment(product, shadow.resources) | {
        "SLUICEGATE_STABLE": STABLE.path,
        "SLUICEGATE_STABLE_VERSION": interval.stable.version,
        "SLUICEGATE_CANDIDATE": CANDIDATE.path,
        "SLUICEGATE_CANDIDATE_VERSION": interval.candidate.version,
        "SLUICEGATE_SINCE": rfc3339(interval.since),
        "SLUICEGATE_UNTIL": rfc3339(interval.until),
    }
    return trainer_container(
        product,
        shadow,
        interval.candidate,
        bento=CANDIDATE.path,
        values=variable_values,
        mounts=[STABLE.mount, CANDIDATE.mount, *scratch_mounts()],
    )
