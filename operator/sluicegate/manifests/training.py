"""The Job of one training attempt. It is created once and never applied again.

Inputs of the training: the stable bento at /bento, the SLUICEGATE_* variables below, and
/dev/termination-log, to which it writes one JSON object (see sluicegate_service.training).
"""

import json
from dataclasses import dataclass
from typing import Final

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining import Retraining
from sluicegate.api.retraining_status import Trigger
from sluicegate.api.shadow import Shadow
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.bento import (
    SERVER_PLACE,
    bento_volume,
    fetch_containers,
    fetch_volumes,
)
from sluicegate.manifests.common import Manifest, labels, metadata, without_empty
from sluicegate.manifests.container import (
    BENTO_PATH,
    bento_environment,
    container,
    environment,
    pod_security,
    scratch_mounts,
    scratch_volumes,
)
from sluicegate.manifests.names import job_name
from sluicegate.manifests.prediction_log import (
    log_credentials,
    log_environment,
    log_mounts,
    log_volumes,
)
from sluicegate.manifests.training_template import merge_template

PUSH_PATH: Final = "/var/run/sluicegate/push"
_IGNORE_DISRUPTION: Final = {
    "action": "Ignore",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}
"""Rule by which an eviction or preemption of the pod is no failure of the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One training attempt for a trigger.

    Attributes
    ----------
    trigger : reason of the training.
    number : from 1; part of the Job's name.
    stable : the version to start from, mounted at /bento.
    plain_http_registries : registries without TLS (a setting of the operator).
    max_seconds : that it may take, whatever the product asks for (a setting of the operator).
    random_ids : whether the platform assigns the user and group of its pod (a setting, too).
    """

    trigger: Trigger
    number: int
    stable: VersionBase
    plain_http_registries: tuple[str, ...] = ()
    max_seconds: int = 604_800
    random_ids: bool = False


def build_training_job(product: DataProduct, retraining: Retraining, attempt: Attempt) -> Manifest:
    """Build the Job of an attempt. Its name identifies the attempt, so that it can't start twice."""
    own_labels = labels(product, Component.TRAINER)
    name = job_name(product.metadata.name, attempt.trigger.id, attempt.number)
    annotations = {names.ANNOTATION_TRIGGER: _trigger_json(attempt.trigger)}
    template = {
        "metadata": {"labels": own_labels},
        "spec": trainer_pod(
            product,
            fetch=fetch_containers(product, attempt.stable),
            container=trainer_container(
                product,
                retraining,
                attempt.stable,
                bento=BENTO_PATH,
                values=_environment(product, retraining, attempt),
                mounts=_mounts(retraining),
            ),
            volumes=_volumes(retraining, attempt),
            random_ids=attempt.random_ids,
        ),
    }
    if retraining.pod_template is not None:
        template = merge_template(retraining.pod_template.to_dict(), template)
    seconds = min(retraining.timeout_seconds, attempt.max_seconds)
    job = single_pod_job(
        metadata(product, name, own_labels, annotations), template, seconds=seconds
    )
    return with_queue_name(job, product.queue)


def with_queue_name(job: Manifest, queue: str) -> Manifest:
    """Return a Job that is suspended until its queue admits it; as it is without a queue."""
    if not queue:
        return job
    meta = job["metadata"]
    return job | {
        "metadata": meta | {"labels": meta["labels"] | {names.LABEL_QUEUE: queue}},
        "spec": job["spec"] | {"suspend": True},
    }


def single_pod_job(meta: Manifest, template: Manifest, *, seconds: int) -> Manifest:
    """Build a Job of one pod, which is only retried after a disruption, and limited to `seconds`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [_IGNORE_DISRUPTION]},
            "template": template,
        },
    }


def trainer_pod(
    product: DataProduct,
    *,
    fetch: list[Manifest],
    container: Manifest,
    volumes: list[Manifest],
    random_ids: bool,
) -> Manifest:
    """Build the pod of a Job with the product's own code, with the service account of its trainings."""
    account = product.spec.retraining.service_account_name if product.spec.retraining else None
    secrets = product.spec.serving.image_pull_secrets
    return without_empty(
        {
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "automountServiceAccountToken": account is not None,
            "enableServiceLinks": False,
            "securityContext": pod_security(random_ids=random_ids),
            "imagePullSecrets": [ref.to_dict() for ref in secrets],
            "initContainers": fetch,
            "containers": [container],
            "volumes": [*volumes, *log_volumes(product)],
        }
    )


def trainer_container(
    product: DataProduct,
    job: Retraining | Shadow,
    version: VersionBase,
    *,
    bento: str,
    values: dict[str, str],
    mounts: list[Manifest],
) -> Manifest:
    """Build the container that runs a command of the product in the version's image.

    Parameters
    ----------
    bento : path of the bento with the command's code. values : the operator's variables.
    """
    return container(
        "trainer",
        version.runtime_image,
        job.command or (),
        resources=job.resources,
        mounts=[*mounts, *log_mounts(product, read_only=True)],
        workingDir=f"{bento}/src",
        env=environment(values | log_environment(product), job.env),
        envFrom=log_credentials(product),
    )


def _environment(product: DataProduct, retraining: Retraining, attempt: Attempt) -> dict[str, str]:
    """Return the variables that sluicegate_service.training reads."""
    values = bento_environment(product, retraining.resources) | {
        "SLUICEGATE_VERSION": attempt.stable.version,
        "SLUICEGATE_BENTO": BENTO_PATH,
        "SLUICEGATE_BENTO_IMAGE": attempt.stable.image,
        "SLUICEGATE_TRIGGER": _trigger_json(attempt.trigger),
        "SLUICEGATE_ATTEMPT": str(attempt.number),
        "SLUICEGATE_OUTPUT": retraining.output,
    }
    if attempt.plain_http_registries:
        values["SLUICEGATE_PLAIN_HTTP_REGISTRIES"] = ",".join(attempt.plain_http_registries)
    if retraining.push_secret_ref:
        values["DOCKER_CONFIG"] = PUSH_PATH
    return values


def _mounts(retraining: Retraining) -> list[Manifest]:
    mounts = [SERVER_PLACE.mount, *scratch_mounts()]
    if retraining.push_secret_ref:
        mounts.append({"name": "push", "mountPath": PUSH_PATH, "readOnly": True})
    return mounts


def _volumes(retraining: Retraining, attempt: Attempt) -> list[Manifest]:
    volumes = [bento_volume(attempt.stable), *fetch_volumes(attempt.stable)]
    volumes += scratch_volumes(retraining.resources)
    if reference := retraining.push_secret_ref:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append({"name": "push", "secret": {"secretName": reference.name, "items": items}})
    return volumes


def _trigger_json(trigger: Trigger) -> str:
    return json.dumps(trigger.to_dict(), sort_keys=True, separators=(",", ":"))
