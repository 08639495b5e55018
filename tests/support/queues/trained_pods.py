"""Pods simulated by kwok; those of Jobs run until the test sets their result."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cluster.builds import program
from cluster.components import fake_node
from tests.support.failures.replicas import apply
from tests.support.processes.running import start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

RESULT: Final = "test.sluicegate.dev/result"
"""Annotation of a pod: the termination message with which it succeeds."""
ERROR: Final = "test.sluicegate.dev/error"
"""The same for a pod that fails."""
ENDS_AT_ONCE: Final = "pod-complete.yaml"
"""kwok's own stage, by which each pod of a Job succeeds as soon as it runs."""
_STATUS: Final = """
{{ $now := Now }}
containerStatuses:
- name: trainer
  image: {{ ( index .spec.containers 0 ).image | Quote }}
  ready: false
  restartCount: 0
  state:
    terminated:
      exitCode: %(code)d
      reason: %(reason)s
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
      message: {{ index .metadata.annotations "%(annotation)s" | Quote }}
phase: %(phase)s
"""
_SUCCEEDS: Final = {"code": 0, "reason": "Completed", "phase": "Succeeded", "annotation": RESULT}
_FAILS: Final = {"code": 1, "reason": "Error", "phase": "Failed", "annotation": ERROR}


@contextmanager
def trained_pods(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Yield a node and its kwok for the length of a block."""
    stages = []
    for ending in (_SUCCEEDS, _FAILS):
        stages.append(folder / f"{ending['phase']}.yaml")
        stages[-1].write_text(json.dumps(_stage(ending)))
    own_stages = (
        path for path in program("kwok").parent.glob("*.yaml") if path.name != ENDS_AT_ONCE
    )
    command = [
        str(program("kwok")),
        f"--kubeconfig={plane.kubeconfig_for('kwok', ('system:masters',))}",
        *(f"--config={path}" for path in (*sorted(own_stages), *stages)),
        "--manage-all-nodes",
        "--node-lease-duration-seconds=40",
    ]
    process = start(command, log=folder / "kwok.log")
    try:
        apply(plane, fake_node(0))
        yield
    finally:
        stop(process)


def _stage(ending: dict[str, Any]) -> dict[str, Any]:
    """Return the stage that ends a pod with the message in its annotation."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": f"training-{ending['phase'].lower()}"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                    {"key": ".status.phase", "operator": "In", "values": ["Running"]},
                    {
                        "key": f'.metadata.annotations["{ending["annotation"]}"]',
                        "operator": "Exists",
                    },
                ]
            },
            "next": {"statusTemplate": _STATUS % ending},
        },
    }
