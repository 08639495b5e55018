"""The two sample products as the demonstration applies them: their own files, with its images.

What differs from the files in `bentos/` is in `fitted`: images of this cluster's registry, blocks
of 5 seconds instead of 5 minutes, and service levels that fit two cores and minutes of traffic.
"""

from __future__ import annotations

import base64
import copy
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from demo.errors import DemoError
from demo.samples import SAMPLES, Object, Sample

if TYPE_CHECKING:
    from cluster.backend import Backend
    from demo.bentos import Bento
    from used_car_market import Market

BLOCK_SECONDS = 5
OPEN_FOR_PRODUCTS = "sluicegate.dev/products"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "sluicegate-demo"
MARKET_CONFIG, MARKET_KEY = "used-car-market", "market.json"
HOST = "market.example"
GONE_SECONDS = 120
# A canary worse by maxRegression is rolled back: the files' own margins (a tenth of a percent of
# failures) need a day of real traffic, these need minutes of a few dozen requests a second. And
# what answers within 250 ms on a company's cluster takes longer where two cores serve, train,
# scrape each second and are the control plane as well.
SLOS: dict[str, Object] = {
    "availability": {"maxRegression": "0.03"},
    "latency": {
        "indicator": {"latency": {"thresholdMilliseconds": 1000}},
        "objective": "0.95",
        "maxRegression": "0.05",
    },
    "accuracy": {"maxRegression": "0.03"},
}


@dataclass(frozen=True, slots=True)
class Model:
    """A bento that was pushed, and the image that it runs in; both by digest."""

    image: str
    bento: Bento
    runtime: str


def fitted(product: Object, model: Model, *, repository: str) -> Object:
    """Return the product for this cluster. Only public fields are set, all of them here."""
    product = copy.deepcopy(product)
    spec = product["spec"]
    spec["model"] = {
        "bento": spec["model"]["bento"] | {"image": model.image, "version": model.bento.version},
        "evaluation": model.bento.evaluation,
    }
    # One pod a version, and requests that let all versions of both products fit on two cores.
    spec["serving"] |= {"runtimeImage": model.runtime, "replicas": 1, "preStopSeconds": 3}
    spec["serving"]["resources"]["requests"]["cpu"] = "200m"
    # A training takes what serving leaves.
    spec["retraining"]["resources"]["requests"]["cpu"] = "100m"
    spec["analysis"] = {"blockSeconds": BLOCK_SECONDS}
    for slo in spec["slos"]:
        slo.update(SLOS.get(slo["name"], {}))
    spec["retraining"] |= {"output": repository, "timeoutSeconds": 300, "cooldownSeconds": 60}
    spec["rollout"] |= {"maxDurationSeconds": 900}
    spec["rollout"].pop("shadow", None)  # labels come within seconds here, so the canary decides
    # The month that it is, or there would be no ledger yet.
    spec["review"]["startDate"] = f"{datetime.now(UTC):%Y-%m}-01"
    return product


def prepare_namespaces(backend: Backend, market: Market) -> None:
    """Make both namespaces, empty but for what a product's team puts there: Secret and market."""
    remove_namespaces(backend)
    for sample in SAMPLES:
        backend.apply(json.dumps(_namespace(sample)))
        backend.apply(json.dumps(_feedback_secret(sample)))
    write_market(backend, market)


def remove_namespaces(backend: Backend) -> None:
    """Delete the objects of an earlier demonstration, and wait for it.

    Raises
    ------
    DemoError
        A namespace of that name isn't the demonstration's.
    """
    names = [sample.namespace for sample in SAMPLES]
    listed = json.loads(
        backend.run_kubectl("get", "namespaces", "--ignore-not-found", "-o", "json", *names) or "{}"
    )
    # kubectl answers with the object itself where only one of them is there.
    for namespace in listed.get("items", [listed] if listed else []):
        if namespace["metadata"].get("labels", {}).get(MANAGED_BY) != MANAGER:
            raise DemoError(
                f"the namespace {namespace['metadata']['name']} is not the demonstration's: it lacks"
                f" the label {MANAGED_BY}={MANAGER}; use another cluster (SLUICEGATE_CLUSTER=demo)"
            )
    wait_options = ("--ignore-not-found", f"--timeout={GONE_SECONDS}s")
    backend.run_kubectl("delete", "namespaces", *wait_options, *names, timeout=GONE_SECONDS + 30)


def write_market(backend: Backend, market: Market) -> None:
    """Set the market of both trainings."""
    for sample in SAMPLES:
        backend.apply(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": MARKET_CONFIG, "namespace": sample.namespace},
                    "data": {MARKET_KEY: market.dump()},
                }
            )
        )


def apply_product(backend: Backend, product: Object) -> None:
    """Apply it as a person or a GitOps tool would."""
    manager = ("--server-side", "--force-conflicts", f"--field-manager={MANAGER}")
    backend.run_kubectl("apply", *manager, "-f", "-", stdin=json.dumps(product))


def _namespace(sample: Sample) -> Object:
    labels = {
        MANAGED_BY: MANAGER,
        "pod-security.kubernetes.io/enforce": "restricted",
        OPEN_FOR_PRODUCTS: "true",
    }
    metadata = {"name": sample.namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _feedback_secret(sample: Sample) -> Object:
    keys = {name: base64.b64encode(secrets.token_hex(24).encode()).decode() for name in KEYS}
    metadata = {"name": sample.secret, "namespace": sample.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": keys}


KEYS = ("hmac", "bearer")


def bearer_of(backend: Backend, sample: Sample) -> str:
    """Return the token that /feedback of the product wants."""
    here = ("get", "secret", sample.secret, "--namespace", sample.namespace)
    return base64.b64decode(backend.run_kubectl(*here, "-o", "jsonpath={.data.bearer}")).decode()
