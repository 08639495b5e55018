"""Which changes of a Deployment are a reason to look at its product."""

from __future__ import annotations

import pytest

from sluicegate.api import names
from sluicegate.reconcile.records import DeploymentRecord, deployment_record


def record(*, wanted: int = 2, generation: int = 1, **status: int) -> DeploymentRecord:
    found = deployment_record(
        {
            "metadata": {
                "namespace": "shop",
                "name": "cars",
                "uid": "u",
                "resourceVersion": "7",
                "generation": generation,
                "labels": {names.LABEL_PRODUCT: "cars"},
            },
            "spec": {"replicas": wanted},
            "status": {"observedGeneration": 1} | status,
        }
    )
    assert found is not None
    return found


MADE = {"replicas": 2, "unavailableReplicas": 2}
READY = {"replicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("before", "after", "matters"),
    [
        (record(observedGeneration=0), record(), False),
        (record(), record(**MADE), False),
        (record(**MADE), record(**READY | {"readyReplicas": 1}), True),
        (record(**READY), record(**MADE), True),
        (record(**READY), record(**READY, generation=2), True),
        (record(wanted=0, **MADE), record(wanted=0), True),
        (record(**READY), record(wanted=3, **READY), True),
    ],
    ids=[
        "it was seen",
        "pods were made",
        "the first is ready",
        "none is ready any more",
        "its newest form isn't seen yet",
        "the last has gone",
        "more are wanted",
    ],
)
def test_what_a_step_decides_by_is_a_reason_to_look(before, after, matters):
    assert (before != after) is matters
