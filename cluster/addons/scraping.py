"""Scrape configuration of Prometheus, with the labels that the operator's queries need.

Targets of products carry `namespace`, `product`, `version` and `revision` from the pod's labels,
and `pod`. A pod is read only if its labels agree with the ReplicaSet that controls it, whose name
begins with the name of the Deployment that the operator owns.
honor_labels stays false: what a service says of itself never replaces what the cluster says. Each
other job reads the pods of one namespace, and keeps only the metrics of the program that it is for.
"""

from __future__ import annotations

from typing import Any

PRODUCT_LABEL = "sluicegate.dev/product"
VERSION_LABEL = "sluicegate.dev/version"
REVISION_LABEL = "sluicegate.dev/revision"
OPERATOR_NAMESPACE = "sluicegate-system"
GATEWAY_NAMESPACE = "gateway"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
KUBELET_SECONDS = 5  # the kubelet measures its containers about every 10 s
LIMITS = {  # of one pod: a service that makes labels of user input is cut off
    "sample_limit": 20_000,
    "label_limit": 64,
    "label_name_length_limit": 256,
    "label_value_length_limit": 1_024,
    "body_size_limit": "16MiB",
}
OWN_LABELS = "sluicegate_(part|counter|lag|fact|backend)"  # the operator's queries set them
CONTAINER_SERIES = (
    "container_(cpu_usage_seconds_total|cpu_cfs_periods_total|cpu_cfs_throttled_periods_total"
    "|cpu_cfs_throttled_seconds_total|memory_working_set_bytes|spec_memory_limit_bytes"
    "|spec_cpu_quota|spec_cpu_period|oom_events_total)|machine_.*"
)
OPERATOR_SERIES = (
    "sluicegate_.+|controller_runtime_.+|leader_election_.+|workqueue_.+|rest_client_.+"
    "|certwatcher_.+|process_.+|python_.+"
)
COUNTED_BY_PODS = "sluicegate_(predictions|indicator|market|mirrored|requests_refused)_.+"
GATEWAY_SERIES = "traefik_.+"

Job = dict[str, Any]
_POD = "__meta_kubernetes_pod"
_NAMED = "__tmp_named"  # the Deployment that the pod's labels name
_OWNED = "__tmp_owned"  # the Deployment whose ReplicaSet controls the pod


def configuration(scrape_seconds: int) -> dict[str, Any]:
    """Return the configuration with a scrape every `scrape_seconds`."""
    interval = f"{scrape_seconds}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            _products(),
            _named("gateway", "traefik", GATEWAY_NAMESPACE)
            | _only(_keep("__name__", GATEWAY_SERIES)),
            _named("operator", "sluicegate", OPERATOR_NAMESPACE, component="operator")
            | _only(_keep("__name__", OPERATOR_SERIES), _drop("__name__", COUNTED_BY_PODS)),
            _kubelet(max(scrape_seconds, KUBELET_SECONDS)),
        ],
    }


def _products() -> Job:
    return {
        "job_name": "products",
        **LIMITS,
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(_pod_label(PRODUCT_LABEL), ".+"),
            _keep(f"{_POD}_controller_kind", "ReplicaSet"),
            *_running_metrics_port(),
            _copy(_pod_label(PRODUCT_LABEL), "product"),
            _copy(_pod_label(VERSION_LABEL), "version"),
            _copy(_pod_label(REVISION_LABEL), "revision"),
            {
                "source_labels": ["product", "revision"],
                "separator": "-",
                "target_label": _NAMED,
            },
            _copy(f"{_POD}_controller_name", _OWNED) | {"regex": "(.+)-[a-z0-9]+"},
            {"action": "keepequal", "source_labels": [_NAMED], "target_label": _OWNED},
            *_where(),
        ],
        "metric_relabel_configs": [
            # What Prometheus says of a scrape isn't for the page to say.
            _drop("__name__", "up|scrape_.+"),
            {"action": "labeldrop", "regex": OWN_LABELS},
        ],
    }


def _named(job: str, name: str, namespace: str, component: str = "") -> Job:
    """Return pods of a namespace with the label app.kubernetes.io/name, and component, and a port called metrics."""
    of_component = (
        [_keep(_pod_label("app.kubernetes.io/component"), component)] if component else []
    )
    return {
        "job_name": job,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
        "relabel_configs": [
            _keep(_pod_label("app.kubernetes.io/name"), name),
            *of_component,
            *_running_metrics_port(),
            *_where(),
        ],
    }


def _only(*rules: dict[str, Any]) -> Job:
    return {"metric_relabel_configs": [*rules]}


def _kubelet(seconds: int) -> Job:
    return {
        "job_name": "kubelet",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "scrape_interval": f"{seconds}s",
        "scrape_timeout": f"{seconds}s",
        "authorization": {"credentials_file": TOKEN},
        # The kubelets of this cluster sign their own certificates, so nothing proves who answers at
        # a node's address, and it can use the token until that ends. The token reads nodes and pods.
        "tls_config": {"insecure_skip_verify": True},
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [_copy("__meta_kubernetes_node_name", "node")],
        "metric_relabel_configs": [_keep("__name__", CONTAINER_SERIES)],
    }


def _running_metrics_port() -> list[dict[str, Any]]:
    return [
        _keep("__meta_kubernetes_pod_container_port_name", "metrics"),
        {
            "action": "drop",
            "source_labels": ["__meta_kubernetes_pod_phase"],
            "regex": "Pending|Succeeded|Failed",
        },
    ]


def _where() -> list[dict[str, Any]]:
    return [
        _copy("__meta_kubernetes_namespace", "namespace"),
        _copy("__meta_kubernetes_pod_name", "pod"),
    ]


def _pod_label(label: str) -> str:
    """Return Prometheus' name for a pod's label: all but letters and digits becomes `_`."""
    sanitised = "".join(c if c.isalnum() else "_" for c in label)
    return f"{_POD}_label_{sanitised}"


def _keep(source: str, regex: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [source], "regex": regex}


def _drop(source: str, regex: str) -> dict[str, Any]:
    return {"action": "drop", "source_labels": [source], "regex": regex}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}
