"""The Deployment of one version: a promotion changes weights between Deployments and restarts no pod."""

from sluicegate.api import names
from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.rollout import Capacity
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.common import Manifest, digest, labels, metadata, pods_of, without_empty
from sluicegate.manifests.names import version_name
from sluicegate.manifests.pod import build_pod_template, inputs_hash
from sluicegate.manifests.version_annotations import memory_annotations


def build_deployment(
    product: DataProduct,
    version: VersionBase,
    *,
    replicas: int | None,
    pods: int = 0,
    random_ids: bool = False,
) -> Manifest:
    """Return the Deployment of a version.

    Where pods can't be doubled, a changed one takes the place of an earlier one; the only one stays
    until its successor is ready.

    Parameters
    ----------
    replicas : None while an autoscaler owns the number: a field that isn't applied isn't owned.
    pods : that the version is to have then.
    random_ids : whether the platform assigns the user and group of the pods.
    """
    has_several_pods = (pods if replicas is None else replicas) > 1
    is_replaced = product.spec.rollout.capacity is Capacity.REPLACE and has_several_pods
    annotations = memory_annotations(version)
    template = build_pod_template(product, version, random_ids=random_ids)
    annotations[names.ANNOTATION_INPUTS_HASH] = inputs_hash(product, version, random_ids=random_ids)
    annotations[names.ANNOTATION_TEMPLATE_HASH] = digest(template)
    own_labels = labels(product, Component.SERVER, version.version)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(
            product,
            version_name(product.metadata.name, version.revision),
            own_labels | {names.LABEL_REVISION: version.revision},
            annotations,
        ),
        "spec": without_empty(
            {
                "replicas": replicas,
                "revisionHistoryLimit": 1,
                "progressDeadlineSeconds": product.spec.serving.progress_deadline_seconds,
                "selector": {"matchLabels": pods_of(product, version.revision)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {
                        "maxUnavailable": int(is_replaced),
                        "maxSurge": int(not is_replaced),
                    },
                },
                "template": template,
            }
        ),
    }
