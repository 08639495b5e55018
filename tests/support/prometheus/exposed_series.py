"""Every series that the operator may expose, as its own code registers them.

Asked in a process of its own, as other tests of this one may register metrics too.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from functools import cache
from typing import Any

SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


@cache
def families() -> dict[str, tuple[str, frozenset[str]]]:
    """Return type and label names by the name under which a family is documented."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.prometheus.exposed_series"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        name: (kind, frozenset(labels)) for name, (kind, labels) in json.loads(done.stdout).items()
    }


@cache
def exposed_labels() -> dict[str, frozenset[str]]:
    """Label names by the name under which a sample is scraped."""
    label_names: dict[str, frozenset[str]] = {}
    for name, (kind, labels) in families().items():
        base = name.removesuffix("_total")
        for suffix in SUFFIXES[kind]:
            label_names[base + suffix] = labels | ({"le"} if suffix == "_bucket" else frozenset())
    return label_names


def registered() -> dict[str, tuple[str, list[str]]]:
    """Return the metrics that importing the operator registers, the interpreter's and the process' own apart."""
    import prometheus_client
    from prometheus_client.metrics import MetricWrapperBase

    import sluicegate

    registered_before = set(prometheus_client.REGISTRY._collector_to_names)
    for module in pkgutil.walk_packages(sluicegate.__path__, "sluicegate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    own: set[Any] = {*prometheus_client.REGISTRY._collector_to_names} - registered_before
    assert all(isinstance(one, MetricWrapperBase) for one in own), own
    return {
        one._name + ("_total" if one._type == "counter" else ""): (one._type, [*one._labelnames])
        for one in own
    }


if __name__ == "__main__":
    print(json.dumps(registered()))
