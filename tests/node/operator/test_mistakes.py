"""A mistake in a DataProduct is refused by `kubectl apply`, or told by the condition, by its field."""

from __future__ import annotations

import json
import re

import pytest

from cluster.errors import ClusterError
from tests.support.samples.product_examples import changed
from tests.support.samples.product_rules import RULES

pytestmark = pytest.mark.timeout(120)


def dotted(text):
    """Both ways to write an item of a list or map, as one: a[0].b and a.0.b."""
    return re.sub(r"\[([^\]]*)\]", r".\1", text)


def test_kubectl_says_which_field_is_wrong_and_what_to_do(cluster, where):
    """One of the rules, all of which tests/apiserver asks the same API server for."""
    case = RULES[0]
    document = changed(case.refused)
    document["metadata"]["namespace"] = "default"

    with pytest.raises(ClusterError) as refused:
        cluster.run_kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(document))

    said = dotted(str(refused.value))
    assert dotted(case.at) in said
    assert case.says in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"serving": {"replicas": 1}}, "spec.serving.runtimeImage: is required"),
        (
            {
                "retraining": {
                    "podTemplate": {
                        "spec": {"containers": [{"name": "a", "args": ["x" * 8000] * 5}]}
                    },
                    "output": "registry.example/learner",
                }
            },
            "spec.retraining.podTemplate: has",
        ),
    ],
    ids=["nobody names a runtime", "a training of 40 KB"],
)
def test_what_only_the_operator_can_know_is_told_by_the_condition(world, change, says):
    product = world.spec("v1")
    product["spec"] |= change
    world.product.apply(product)

    status = world.product.until(
        lambda status: any(one["reason"] == "InvalidSpec" for one in status.get("conditions", ())),
        seconds=30,
        what="InvalidSpec",
    )

    assert says in world.product.condition("Stalled")["message"]
    assert any(says in problem for problem in status["problems"])
    assert not world.product.listed("apps/v1/deployments")
