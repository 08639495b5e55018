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
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
      message: {{ index .metadata.annotations "%s" | Quote }}
phase: Succeeded
"""


@contextmanager
def trained_pods(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Yield a node and its kwok for the length of a block."""
    stage = folder / "stage.yaml"
    stage.write_text(json.dumps(_stage()))
    own_stages = (
        path for path in program("kwok").parent.glob("*.yaml") if path.name != ENDS_AT_ONCE
    )
    command = [
        str(program("kwok")),
        f"--kubeconfig={plane.kubeconfig_for('kwok', ('system:masters',))}",
        *(f"--config={path}" for path in (*sorted(own_stages), stage)),
        "--manage-all-nodes",
        "--node-lease-duration-seconds=40",
    ]
    process = start(command, log=folder / "kwok.log")
    try:
        apply(plane, fake_node(0))
        yield
    finally:
        stop(process)


def _stage() -> dict[str, Any]:
    """Return the stage that ends a pod with the result in its annotation."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "training-succeeds"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                    {"key": ".status.phase", "operator": "In", "values": ["Running"]},
                    {"key": f'.metadata.annotations["{RESULT}"]', "operator": "Exists"},
                ]
            },
            "next": {"statusTemplate": _STATUS % RESULT},
        },
    }
