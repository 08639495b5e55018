"""The pod that serves one version: a runtime image and a bento mounted read-only.

The settings were measured with BentoML 1.4.40: the home and temporary directories must be writable,
BENTOML_CONTAINERIZED makes a failing worker end the pod instead of looping, and new connections
hang while it drains, so a terminating pod keeps serving for some seconds.
"""

import json
from typing import Any, Final

from sluicegate.api.names import Component
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import ConsumerEvidence
from sluicegate.api.serving import DEFAULT_MAX_REQUEST_BYTES, Serving
from sluicegate.api.versions import VersionBase
from sluicegate.manifests.bento import (
    SERVER_PLACE,
    bento_volume,
    fetch_containers,
    fetch_volumes,
)
from sluicegate.manifests.common import (
    HTTP_PORT,
    METRICS_PORT,
    Manifest,
    digest,
    labels,
    pods_of,
    without_empty,
)
from sluicegate.manifests.container import (
    BENTO_PATH,
    as_stored,
    bento_environment,
    container,
    environment,
    init_containers,
    pod_security,
    scratch_mounts,
    scratch_volumes,
)
from sluicegate.manifests.names import candidate_name
from sluicegate.manifests.prediction_log import (
    log_credentials,
    log_environment,
    log_mounts,
    log_volumes,
)

FEEDBACK_PATH: Final = "/var/run/sluicegate/feedback"
DRAIN_SECONDS: Final = 5
"""Seconds of grace beyond preStop and the longest request."""

FIELDS_OUTSIDE_PODS: Final = frozenset(
    {"replicas", "autoscaling", "runtime_image", "progress_deadline_seconds"}
)
"""Fields of `serving` that don't affect a pod, or are hashed with the version's own fields."""
LATER_SERVING_FIELDS: Final = frozenset(
    {
        "max_request_bytes", "market", "log", "runtime_class_name", "resource_claims", "volumes",
        "volume_mounts", "init_containers",
    }
)  # fmt: skip
"""Fields that were added to `serving` later: each is hashed only if it is set; otherwise the
release that added it would restart every pod."""
LATER_FEEDBACK_FIELDS: Final = frozenset({"prediction"})
"""The same, of `serving.feedback`."""


def build_pod_template(
    product: DataProduct, version: VersionBase, *, random_ids: bool = False
) -> Manifest:
    """Build the pod template of a version. Equal inputs (see inputs_hash) give an equal template."""
    serving = product.spec.serving
    pod_labels = labels(product, Component.SERVER, version.version) | pods_of(
        product, version.revision
    )
    return {
        "metadata": without_empty(
            {
                "labels": dict(serving.pod_labels) | pod_labels,
                "annotations": dict(serving.pod_annotations),
            }
        ),
        "spec": without_empty(
            {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": grace_seconds(product),
                "securityContext": pod_security(random_ids=random_ids),
                "imagePullSecrets": [ref.to_dict() for ref in serving.image_pull_secrets],
                "initContainers": [
                    *fetch_containers(product, version),
                    *init_containers(serving.init_containers),
                    _runtime_check(product, version),
                ],
                "containers": [_server_container(product, version)],
                "volumes": _volumes(product, version),
                **_scheduling_fields(product),
            }
        ),
    }


def inputs_hash(product: DataProduct, version: VersionBase, *, random_ids: bool = False) -> str:
    """Return the hash of all fields of the spec that a version's pod template is rendered from.

    A live Deployment's template is rendered again only when this changes, so that an upgrade
    of the operator restarts no pod. `random_ids`, a setting of the operator, is in it, too.
    """
    serving = product.spec.serving
    unset_fields = {
        name
        for name in LATER_SERVING_FIELDS
        if getattr(serving, name) == _default_value(serving, name)
    }
    feedback = serving.feedback
    unset_feedback_fields = {
        name for name in LATER_FEEDBACK_FIELDS if feedback and getattr(feedback, name) is None
    }
    excluded_fields: dict[str, Any] = dict.fromkeys({*FIELDS_OUTSIDE_PODS, *unset_fields}, True)
    excluded_fields |= {"feedback": unset_feedback_fields} if unset_feedback_fields else {}
    credentials = product.spec.model.bento.credentials_secret_ref
    return digest(
        {
            "product": [product.metadata.namespace, product.metadata.name],
            "bento": [version.image, version.version, version.service],
            "credentials": credentials.name if credentials else None,
            "runtimeImage": version.runtime_image,
            "serving": serving.model_dump(mode="json", by_alias=True, exclude=excluded_fields),
            **({"markets": markets_of(product)} if serving.market else {}),
            **({"mirror": mirror.to_dict()} if (mirror := product.spec.rollout.mirror) else {}),
            **({"preview": True} if product.spec.rollout.preview else {}),
            **({"consumers": consumers} if (consumers := _consumers(product)) else {}),
            **({"upstreams": upstreams} if (upstreams := _upstreams(product)) else {}),
            **({"randomIds": True} if random_ids else {}),
        }
    )


def _default_value(serving: Serving, name: str) -> object:
    return type(serving).model_fields[name].get_default(call_default_factory=True)


def grace_seconds(product: DataProduct) -> int:
    """Return the longest duration of a pod's termination: it still answers, and completes its requests."""
    serving = product.spec.serving
    return serving.pre_stop_seconds + serving.request_timeout_seconds + DRAIN_SECONDS


def _server_container(product: DataProduct, version: VersionBase) -> Manifest:
    serving = product.spec.serving
    pre_stop = {"preStop": {"sleep": {"seconds": serving.pre_stop_seconds}}}
    server = container(
        "server",
        version.runtime_image,
        ["python", "-m", "sluicegate_service.launcher", BENTO_PATH],
        resources=serving.resources,
        mounts=[
            *_mounts(product),
            *log_mounts(product, read_only=False),
            *(as_stored(mount.to_dict()) for mount in serving.volume_mounts),
        ],
        env=environment(_server_environment(product, version), serving.env),
        envFrom=log_credentials(product),
        ports=[
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
    )
    server |= {"lifecycle": pre_stop} if serving.pre_stop_seconds else {}
    if serving.resource_claims:
        claims = [{"name": claim.to_dict()["name"]} for claim in serving.resource_claims]
        server["resources"] = {**server.get("resources", {}), "claims": claims}
    return server | {
        "startupProbe": _http_probe(
            "/readyz", period=1, failures=serving.progress_deadline_seconds
        ),
        # A pod that is short of CPU for some seconds answers late; removed from the Service it
        # wouldn't answer at all.
        "readinessProbe": _http_probe("/readyz", period=2, failures=5),
        "livenessProbe": _http_probe("/livez", period=10, failures=3),
    }


def _server_environment(product: DataProduct, version: VersionBase) -> dict[str, str]:
    serving = product.spec.serving
    values = bento_environment(product, serving.resources) | {
        "SLUICEGATE_VERSION": version.version,
        "SLUICEGATE_REVISION": version.revision,
    }
    values |= _feedback_environment(product) | _prediction_environment(product)
    values |= log_environment(product)
    if serving.max_request_bytes != DEFAULT_MAX_REQUEST_BYTES:
        values["SLUICEGATE_MAX_REQUEST_BYTES"] = str(serving.max_request_bytes)
    if serving.market:
        values["SLUICEGATE_MARKETS"] = json.dumps(markets_of(product), separators=(",", ":"))
    if mirror := product.spec.rollout.mirror:
        values["SLUICEGATE_MIRROR"] = json.dumps(
            {"url": _candidate_url(product), **mirror.to_dict()}, separators=(",", ":")
        )
    if consumers := _consumers(product):
        values["SLUICEGATE_CONSUMERS"] = json.dumps(consumers, separators=(",", ":"))
    if upstreams := _upstreams(product):
        values["SLUICEGATE_UPSTREAMS"] = json.dumps(upstreams, separators=(",", ":"))
    if product.spec.rollout.preview:
        values["SLUICEGATE_PREVIEW"] = "true"
    if serving.latency_buckets_milliseconds:
        values["BENTOML_CONFIG_OVERRIDES"] = _bucket_override(product, version)
    return values


def _consumers(product: DataProduct) -> list[str]:
    """Return the consumers whose requests get answers with the mark of the version."""
    consumers = product.spec.rollout.consumers
    return [] if consumers is None else sorted(consumers.keys(product.metadata.namespace))


def _upstreams(product: DataProduct) -> list[str]:
    """Return the products by whose versions the library counts this product's outcomes."""
    return sorted(
        f"{dependency.namespace or product.metadata.namespace}/{dependency.name}"
        for dependency in product.spec.depends_on
        if dependency.evidence is not ConsumerEvidence.IGNORE
    )


def _candidate_url(product: DataProduct) -> str:
    meta = product.metadata
    return f"http://{candidate_name(meta.name)}.{meta.namespace}.svc:{HTTP_PORT}"


def _feedback_environment(product: DataProduct) -> dict[str, str]:
    has_feedback = product.spec.serving.feedback is not None
    return {"SLUICEGATE_FEEDBACK_DIRECTORY": FEEDBACK_PATH} if has_feedback else {}


def _prediction_environment(product: DataProduct) -> dict[str, str]:
    feedback = product.spec.serving.feedback
    if feedback is None or feedback.prediction is None:
        return {}
    text = json.dumps(feedback.prediction.to_dict(), separators=(",", ":"))
    return {"SLUICEGATE_PREDICTION": text}


def markets_of(product: DataProduct) -> dict[str, Any]:
    """Return the settings by which the library counts by market."""
    source = product.spec.serving.market
    assert source is not None
    latencies = (slo.indicator.latency for slo in product.spec.slos)
    return {
        "markets": list(product.spec.markets),
        "from": str(source.place),
        "name": source.header,
        "values": dict(sorted(source.values.items())),
        "thresholdsMilliseconds": sorted(
            {latency.threshold_milliseconds for latency in latencies if latency}
        ),
    }


def _bucket_override(product: DataProduct, version: VersionBase) -> str:
    bucket_bounds = product.spec.serving.latency_buckets_milliseconds
    duration: dict[str, Any] = {"buckets": [milliseconds / 1000 for milliseconds in bucket_bounds]}
    service = version.service or product.spec.model.bento.service
    return json.dumps({"services": {service: {"metrics": {"duration": duration}}}})


def _mounts(product: DataProduct) -> list[Manifest]:
    """Return the mounts of the server and of the check before it, which reports a faulty feedback Secret."""
    mounts = [SERVER_PLACE.mount, *scratch_mounts()]
    if product.spec.serving.feedback:
        mounts.append({"name": "feedback", "mountPath": FEEDBACK_PATH, "readOnly": True})
    return mounts


def _volumes(product: DataProduct, version: VersionBase) -> list[Manifest]:
    volumes = [bento_volume(version), *fetch_volumes(version)]
    volumes += scratch_volumes(product.spec.serving.resources)
    volumes += log_volumes(product)
    if feedback := product.spec.serving.feedback:
        volumes.append(
            {
                "name": "feedback",
                "secret": {"secretName": feedback.secret_ref.name, "optional": True},
            }
        )
    return [*volumes, *(as_stored(volume.to_dict()) for volume in product.spec.serving.volumes)]


def _runtime_check(product: DataProduct, version: VersionBase) -> Manifest:
    """Return the init container that compares the bento with runtime and spec, with one clear message.

    It also reports what the feedback Secret lacks; the pod serves nevertheless.
    """
    resources = product.spec.serving.resources
    return container(
        "runtime-check",
        version.runtime_image,
        ["python", "-m", "sluicegate_service.runtime_check", BENTO_PATH],
        resources=resources,
        mounts=_mounts(product),
        env=environment(
            bento_environment(product, resources)
            # An older runtime ignores the variable.
            | {"SLUICEGATE_ENTRY_SERVICE": version.service}
            | _feedback_environment(product),
            (),
        ),
    )


def _http_probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "metrics", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _scheduling_fields(product: DataProduct) -> Manifest:
    serving = product.spec.serving
    return {
        "nodeSelector": dict(serving.node_selector),
        "tolerations": [toleration.to_dict() for toleration in serving.tolerations],
        "affinity": serving.affinity.to_dict() if serving.affinity else None,
        "topologySpreadConstraints": [
            topology_spread_constraint.to_dict()
            for topology_spread_constraint in serving.topology_spread_constraints
        ],
        "priorityClassName": serving.priority_class_name,
        "runtimeClassName": serving.runtime_class_name,
        "resourceClaims": [claim.to_dict() for claim in serving.resource_claims],
    }
