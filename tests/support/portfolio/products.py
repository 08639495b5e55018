"""Products of a portfolio as documents, with as much of a status as a test needs."""

from __future__ import annotations

from typing import Any

from sluicegate.api import names
from sluicegate.api.product import DataProduct

WHEN = "2026-11-28T09:00:00Z"
DIGEST = f"registry.example/bento@sha256:{'a' * 64}"
RUNTIME = f"registry.example/runtime@sha256:{'b' * 64}"


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": WHEN,
    }  # fmt: skip


def version(name: str = "v14", **fields: Any) -> dict[str, Any]:
    return {
        "version": name, "image": DIGEST, "service": "Pricing", "runtimeImage": RUNTIME,
        "revision": "0123456789", "source": "Spec", **fields,
    }  # fmt: skip


def slo(name: str, state: str = "Met", **fields: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "reason": "WithinObjective", **fields}


def document(
    name: str = "pricing", namespace: str = "pricing", *, spec: Any = None, status: Any = None
) -> dict[str, Any]:
    """Return a DataProduct as the API server has it.

    `spec` and `status` are added to what all have.
    """
    base = {
        "owner": "group:default/pricing", "domain": "pricing", "markets": ["AT", "FR"],
        "model": {"bento": {"image": DIGEST, "version": "v14", "service": "Pricing"}},
        "serving": {"runtimeImage": RUNTIME},
    }  # fmt: skip
    metadata = {
        "observedGeneration": 1, "state": "Healthy",
        "stable": version(promotionTime=WHEN),
        "summary": {"slo": "Met", "markets": "AT,FR"},
    }  # fmt: skip
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"{namespace}-{name}",
            "resourceVersion": "1", "generation": 1,
        },
        "spec": base | (spec or {}),
        "status": metadata | (status or {}),
    }  # fmt: skip


def product(name: str = "pricing", namespace: str = "pricing", **fields: Any) -> DataProduct:
    return DataProduct.parse(document(name, namespace, **fields))


def waiting_for_approval(name: str = "v15") -> dict[str, Any]:
    """Return a status whose candidate waits for approval, with its evidence."""
    return {
        "candidate": version(
            name, phase="AwaitingApproval", step=3, weight=50, target=50, startTime=WHEN,
            firstTrafficTime=WHEN, source="Retraining",
            evidence=[
                {"slo": "accuracy", "required": True, "promote": "3.4", "promoteAt": "3.0",
                 "rollBack": "-2.1", "rollBackAt": "4.1", "candidateBad": 103,
                 "candidateTotal": 1040, "stableBad": 140, "stableTotal": 1100},
                {"slo": "latency", "required": False, "promote": "-0.4", "promoteAt": "3.0",
                 "rollBack": "1.9", "rollBackAt": "4.1", "candidateBad": 9,
                 "candidateTotal": 5210, "stableBad": 8, "stableTotal": 5300},
            ],
        ),
        "summary": {"slo": "Met", "canary": f"{name}@50", "markets": "AT,FR",
                    "reason": "AwaitingApproval"},
        "conditions": [condition("RolloutProgressing", "True", "AwaitingApproval",
                                 "v15 has passed its last step and waits for approval")],
    }  # fmt: skip


def degraded(cause: str = "RecentRelease", message: str = "", **fields: Any) -> dict[str, Any]:
    """Return a status of a product that is degraded."""
    text = message or "accuracy is at 84.2 % (n=1,200) against 88.0 %"
    return {
        "state": "Degraded",
        "summary": {"slo": "accuracy Missed", "markets": "AT,FR"},
        "slos": [
            slo("availability", budgetRemaining="0.91", ratio="0.9999", total=90210, bad=9,
                objective="0.999"),
            slo("accuracy", "Missed", reason="ObjectiveMissed", message=text, ratio="0.842",
                bad=190, total=1200, objective="0.88", budgetRemaining="-0.31",
                baselineRatio="0.881", drop="0.039", interval=["0.018", "0.06"], degraded=True,
                markets=[{"market": "AT", "state": "Missed", "ratio": "0.71", "total": 310},
                         {"market": "FR", "state": "Met", "ratio": "0.9", "total": 890}]),
        ],
        "conditions": [condition("Degraded", "True", "ObjectiveMissed", text)],
        "diagnosis": {
            "cause": cause, "message": f"{cause}: {text}", "diagnosisTime": WHEN,
            "evidence": [
                {"check": "UpstreamDegraded", "verdict": "Clear", "message": "none is degraded"},
                {"check": cause, "verdict": "Objects", "message": text},
                {"check": "TrafficAnomaly", "verdict": "Unknown", "message": "no normal load yet"},
            ],
        },
        **fields,
    }  # fmt: skip
