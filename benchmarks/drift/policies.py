"""Products that are measured: a user's spec with `maxDrop` and a training command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.drift.served import FIRST_VERSION
from benchmarks.drift.streams import BLOCK_SECONDS

if TYPE_CHECKING:
    from sluicegate.stats.counts import Count

SLO: Final = "accuracy"
MAX_DROP: Final = "0.03"
DEFAULTS: Final = "sluicegate-defaults"
SCHEDULED: Final = "sluicegate"
OWN: Final = (SCHEDULED, DEFAULTS)
MIRRORED: Final = "sluicegate-mirrored"
"""The scheduled policy, with all requests of stable mirrored to the candidate."""
SCHEDULE_LABELS: Final = 1_000
OUTPUT: Final = "registry.example/stream"


def document(policy: str, accepted: Count) -> dict[str, Any]:
    """Return the DataProduct of a policy, as a user writes it.

    Parameters
    ----------
    accepted : the evaluation of its first version.
    """
    retraining: dict[str, Any] = {"command": ["python", "-m", "train"], "output": OUTPUT}
    spec: dict[str, Any] = {
        "owner": "group:default/drift",
        "model": {
            "bento": {
                "image": image(FIRST_VERSION),
                "version": FIRST_VERSION,
                "service": "Stream",
            },
            "evaluation": {SLO: {"bad": accepted.bad, "total": accepted.total}},
        },
        "serving": {"feedback": {"secretRef": {"name": "feedback"}}},
        "route": {"parentRefs": [{"name": "web", "namespace": "gateway"}], "path": "/stream"},
        "slos": [{"name": SLO, "indicator": {"outcomes": {}}, "maxDrop": MAX_DROP}],
        "retraining": retraining,
    }
    if policy in {SCHEDULED, MIRRORED}:
        retraining["schedule"] = {"everyLabels": SCHEDULE_LABELS}
    if policy == MIRRORED:
        shadow = {"mirror": {"percent": 100}, "intervalSeconds": BLOCK_SECONDS}
        spec["rollout"] = {"shadow": shadow}
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": "stream", "namespace": "drift"},
        "spec": spec,
    }


def image(version: str) -> str:
    """Return the bento of a version, such as v1."""
    return f"{OUTPUT}@sha256:{int(version.removeprefix('v')):064x}"
