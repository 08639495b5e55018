"""What Prometheus reads, and the labels it gives: the contract of the operator's queries.

Targets of products carry `namespace`, `product`, `version` and `revision` from the pod's labels,
and `pod`.
honor_labels stays false: what a service says of itself never replaces what the cluster says.
"""

from __future__ import annotations

from typing import Any

PRODUCT_LABEL = "sluicegate.dev/product"
VERSION_LABEL = "sluicegate.dev/version"
REVISION_LABEL = "sluicegate.dev/revision"
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

Job = dict[str, Any]


def configuration(scrape_seconds: int) -> dict[str, Any]:
    """The configuration with a scrape every `scrape_seconds`."""
    interval = f"{scrape_seconds}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            _products(),
            _named("gateway", "traefik"),
            _named("operator", "sluicegate"),
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
            *_running_metrics_port(),
            _copy(_pod_label(PRODUCT_LABEL), "product"),
            _copy(_pod_label(VERSION_LABEL), "version"),
            _copy(_pod_label(REVISION_LABEL), "revision"),
            *_where(),
        ],
        "metric_relabel_configs": [
            # What Prometheus says of a scrape isn't for the page to say.
            {"action": "drop", "source_labels": ["__name__"], "regex": "up|scrape_.+"},
            {"action": "labeldrop", "regex": OWN_LABELS},
        ],
    }


def _named(job: str, name: str) -> Job:
    """Pods with the label app.kubernetes.io/name and a port called metrics."""
    return {
        "job_name": job,
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(_pod_label("app.kubernetes.io/name"), name),
            *_running_metrics_port(),
            *_where(),
        ],
    }


def _kubelet(seconds: int) -> Job:
    return {
        "job_name": "kubelet",
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
        "scrape_interval": f"{seconds}s",
        "scrape_timeout": f"{seconds}s",
        "authorization": {"credentials_file": TOKEN},
        # The kubelet signs its own certificate; the token is refused by anyone else.
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
    """Prometheus' name for a pod's label: all but letters and digits becomes `_`."""
    sanitised = "".join(c if c.isalnum() else "_" for c in label)
    return f"__meta_kubernetes_pod_label_{sanitised}"


def _keep(source: str, regex: str) -> dict[str, Any]:
    return {"action": "keep", "source_labels": [source], "regex": regex}


def _copy(source: str, target: str) -> dict[str, Any]:
    return {"source_labels": [source], "target_label": target}
